"use strict";
// A button on every block of code that copies it; of a session with a shell, what is typed.
for (const block of document.querySelectorAll("pre[data-language]")) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
  button.addEventListener("click", async () => {
    const typed = [...block.querySelectorAll("b")].map((line) => line.textContent);
    try {
      await navigator.clipboard.writeText(typed.length ? typed.join("\n") : block.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("code"));
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  const frame = Object.assign(document.createElement("div"), { className: "code" });
  block.replaceWith(frame);
  frame.append(block, button);
}
