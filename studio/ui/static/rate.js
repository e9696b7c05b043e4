// The keys of the page Rate: A, B and T press the buttons.
addEventListener("keydown", (event) => {
  if (event.metaKey || event.altKey || event.ctrlKey || event.repeat || event.target.matches?.("input, textarea, select")) return;
  const button = { a: "#rate-a", b: "#rate-b", t: "#rate-t" }[event.key.toLowerCase()];
  const found = button && document.querySelector(button);
  if (found) { event.preventDefault(); found.click(); }
});
