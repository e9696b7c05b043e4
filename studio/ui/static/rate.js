// The page Rate. Its keys: A, B and T press the buttons.
addEventListener("keydown", (event) => {
  if (event.metaKey || event.altKey || event.ctrlKey || event.repeat || event.target.matches?.("input, textarea, select")) return;
  const button = { a: "#rate-a", b: "#rate-b", t: "#rate-t" }[event.key.toLowerCase()];
  const found = button && document.querySelector(button);
  if (found) { event.preventDefault(); found.click(); }
});

// A pair is rated once: of two presses sent at once the server may take the later one first. The next pair comes as a new
// element without the mark; if none comes, the rating failed, and after some seconds it can be given again.
const RETRY_MS = 10000;
addEventListener("click", (event) => {
  if (!event.target.closest?.("#rate-a, #rate-b, #rate-t")) return;
  const pair = document.querySelector("#pair .sample");
  if (!pair || Date.now() - Number(pair.dataset.rated ?? 0) < RETRY_MS) event.stopImmediatePropagation();
  else pair.dataset.rated = String(Date.now());
}, true);
