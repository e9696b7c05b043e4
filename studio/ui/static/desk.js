// The desk: a row is chosen and decided about with the mouse or the keyboard; what is done goes to the server as one JSON text.
(() => {
  if (window.studioDesk) return; // Gradio puts the head's scripts in twice
  window.studioDesk = true;
  const find = (selector) => document.querySelector(selector);
  const rows = () => [...document.querySelectorAll("#desk-table tr[data-row]")];
  const current = () => find("#desk-table tr[aria-selected]");
  let waiting = 0, count = 0;

  const send = (command) => {
    const field = find("#desk-command textarea, #desk-command input");
    if (!field) return;
    const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set;
    set.call(field, JSON.stringify({ ...command, count: ++count })); // the same command twice is two commands
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const choose = (row, show = true) => {
    if (!row) return;
    rows().forEach((item) => item.removeAttribute("aria-selected"));
    row.setAttribute("aria-selected", "true");
    row.scrollIntoView({ block: "nearest" });
    clearTimeout(waiting);
    if (show) waiting = setTimeout(() => send({ do: "show", row: row.dataset.row }), 120); // not for every row passed on the way
  };
  const below = (selector) => {
    const box = find(selector);
    if (box && box.getBoundingClientRect().top > innerHeight) box.scrollIntoView({ block: "start" });
  };
  const act = (what, extra = {}) => {
    const row = current();
    if (!row && what !== "undo") return;
    clearTimeout(waiting);
    send({ do: what, row: row?.dataset.row ?? 0, ...extra });
  };
  const step = (by) => {
    const all = rows(), index = all.indexOf(current()) + by;
    if (index >= 0 && index < all.length) choose(all[index]);
    else if (all.length) act(by > 0 ? "next" : "back");
  };
  const turns = (form) =>
    [...form.querySelectorAll("fieldset")].map((field) => ({
      content: field.querySelector("textarea").value,
      ...(field.querySelector("[data-train]") ? { train: field.querySelector("[data-train]").checked } : {}),
    }));
  const save = (form) => send({ do: "save", row: form.dataset.editor, turns: turns(form) });

  addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-do]"), row = event.target.closest?.("#desk-table tr[data-row]");
    if (button) {
      const form = button.closest("form");
      if (button.dataset.do === "save") save(form);
      else send({ do: button.dataset.do, row: form.dataset.editor, ...(button.dataset.of ? { of: button.dataset.of } : {}) });
    } else if (row) {
      choose(row);
      setTimeout(() => below("#desk-editor"), 400); // on a phone the editor stands below the rows
    }
  });
  addEventListener("input", (event) => {
    const form = event.target.closest?.(".row-editor");
    if (form) form.querySelector("[data-do=save]").disabled = false;
  });
  addEventListener("keydown", (event) => {
    if (!find("#desk-table") || event.metaKey || event.altKey) return;
    const form = event.target.closest?.(".row-editor"), writing = event.target.matches?.("input, textarea, select, [contenteditable]");
    if (form && event.ctrlKey && event.key === "Enter") { event.preventDefault(); save(form); }
    else if (form && event.key === "Escape") event.target.blur();
    if (writing || event.ctrlKey) return;
    const keys = {
      j: () => step(1), k: () => step(-1), a: () => act("approve"), x: () => act("exclude"), m: () => act("mask"), u: () => act("undo"),
      e: () => [...document.querySelectorAll(".row-editor [data-role=assistant] textarea, .row-editor [data-role=text] textarea")].at(-1)?.focus(),
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
})();
