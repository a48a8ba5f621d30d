// A button with data-copy takes the text of the <pre> before it to the clipboard, and says that it did. Browsers give
// pages the clipboard over TLS and on the own machine; elsewhere the button stays away and a click selects the text.
(() => {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const label = button.textContent;
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select and copy by hand";
      }
      setTimeout(() => (button.textContent = label), 2000);
    });
  }
})();
