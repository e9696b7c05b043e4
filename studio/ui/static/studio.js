// The switch between light and dark, kept in this browser; curves that tell their values; buttons that copy.
(() => {
  if (window.studioReady) return; // Gradio puts the head's scripts in twice
  window.studioReady = true;
  const wanted = () => localStorage.getItem("studio-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const paint = () => document.body?.classList.toggle("dark", wanted() === "dark");
  const begin = () => {
    document.documentElement.lang ||= "en";
    paint();
    new MutationObserver(() => { if (document.body.classList.contains("dark") !== (wanted() === "dark")) paint(); })
      .observe(document.body, { attributes: true, attributeFilter: ["class"] });
  };
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", begin) : begin();
  // A form that the server writes again is patched in place: a field that was typed in would keep what was typed for another row.
  const written = new WeakMap();
  const renew = () => {
    for (const field of document.querySelectorAll("form[data-editor] :is(textarea, [data-train]), form[data-answer] textarea")) {
      const form = field.closest("form"), ticks = field.type === "checkbox";
      const now = `${form.dataset.editor ?? form.dataset.answer} ${ticks ? field.defaultChecked : field.defaultValue}`;
      if (written.has(field) && written.get(field) !== now) ticks ? (field.checked = field.defaultChecked) : (field.value = field.defaultValue);
      written.set(field, now);
    }
  };
  const patched = { subtree: true, childList: true, characterData: true, attributeFilter: ["data-editor", "data-answer", "checked"] };
  new MutationObserver(renew).observe(document.documentElement, patched);
  addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (button?.matches("[data-theme-switch]")) {
      localStorage.setItem("studio-theme", wanted() === "dark" ? "light" : "dark");
      paint();
    } else if (button?.dataset.copy !== undefined) {
      navigator.clipboard?.writeText(button.dataset.copy).then(() => {
        const before = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = before), 1500);
      });
    }
    // A figure leads to its rows, which may be folded away.
    const link = event.target.closest?.('a[href^="#"]');
    const rows = link && document.getElementById(link.getAttribute("href").slice(1));
    if (rows?.closest("details")) {
      event.preventDefault();
      rows.closest("details").open = true;
      rows.scrollIntoView({ block: "start" });
      rows.focus({ preventScroll: true });
    }
  });

  // What is wrong with a field stands on the plan card; it is repeated below the field itself.
  const point = () => {
    const error = document.querySelector("#plan [data-field]");
    const field = error && document.getElementById(error.dataset.field);
    const shown = document.querySelector(".field-wrong");
    if (shown && shown.parentElement === field && shown.textContent === error.dataset.says) return;
    if (shown) {
      shown.parentElement.querySelector("input, textarea")?.removeAttribute("aria-invalid");
      shown.remove();
    }
    if (!field) return;
    const words = document.createElement("p");
    words.className = "field-wrong";
    words.textContent = error.dataset.says;
    field.append(words);
    field.querySelector("input, textarea")?.setAttribute("aria-invalid", "true");
  };
  const follow = () => new MutationObserver(point).observe(document.body, { childList: true, subtree: true });
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", follow) : follow();

  // A chart is an SVG drawn by the server, with its lines' values in data-chart; here they are shown at the pointer.
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) { const mid = (low + high) >> 1; xs[mid] < x ? (low = mid) : (high = mid); }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  };
  addEventListener("pointermove", (event) => {
    const svg = event.target.closest?.("svg[data-chart]");
    document.querySelectorAll("svg[data-chart] .hover").forEach((item) => item.ownerSVGElement !== svg && item.replaceChildren());
    if (!svg) return;
    const chart = JSON.parse(svg.dataset.chart), box = svg.getBoundingClientRect(), hover = svg.querySelector(".hover");
    const across = ((event.clientX - box.left) / box.width) * chart.width;
    const inner = chart.width - chart.left - chart.right, share = (across - chart.left) / inner;
    const x = chart.log ? chart.x0 * (chart.x1 / chart.x0) ** share : chart.x0 + share * (chart.x1 - chart.x0);
    const make = (name, attributes, text) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      if (text !== undefined) node.textContent = text;
      return node;
    };
    const rows = chart.lines.filter((line) => line.x.length).map((line) => { const index = nearest(line.x, x); return [line, line.x[index], line.y[index]]; });
    if (!rows.length) return;
    const right = across > chart.width / 2, step = rows[0][1];
    const part = chart.log ? Math.log(step / chart.x0) / (Math.log(chart.x1 / chart.x0) || 1) : (step - chart.x0) / (chart.x1 - chart.x0 || 1);
    const at = chart.left + part * inner;
    hover.replaceChildren(
      make("line", { x1: at, x2: at, y1: chart.top, y2: chart.height - chart.bottom, class: "cross" }),
      ...[`${chart.unit} ${step.toLocaleString("en")}`, ...rows.map(([line, , y]) => `${line.label}: ${Number(y.toPrecision(4))}`)].map((label, row) =>
        make("text", { x: at + (right ? -8 : 8), y: chart.top + 12 + row * 15, "text-anchor": right ? "end" : "start", class: "tip" }, label)));
  });
})();
