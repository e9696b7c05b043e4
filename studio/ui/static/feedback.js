// Answers are rated, corrected and flagged; what is said goes to the server as one JSON text.
(() => {
  if (window.studioFeedback) return; // Gradio puts the head's scripts in twice
  window.studioFeedback = true;
  let count = 0;
  addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-say]"), form = button?.closest("[data-answer]");
    const field = form && document.querySelector("#feedback-command textarea, #feedback-command input");
    if (!field) return;
    const rated = ["good", "bad"].includes(button.dataset.say), again = button.getAttribute("aria-pressed") === "true";
    const text = button.parentElement.querySelector("textarea")?.value ?? "";
    const command = { say: rated && again ? "" : button.dataset.say, of: form.dataset.answer, text, count: ++count };
    const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set;
    set.call(field, JSON.stringify(command));
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
})();
