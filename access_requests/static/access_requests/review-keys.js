// The review desk by keyboard. A key does what a link or button of the page does, or moves to a form;
// nothing is decided by one key.
(() => {
  const dialog = document.getElementById("wb-keys");
  const typing = (target) =>
    target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);

  function toForm(form) {
    form.scrollIntoView({ block: "start" });
    const field = form.querySelector("textarea, input:not([type=hidden]), select, button");
    if (field) field.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target) || (dialog && dialog.open)) return;
    if (event.key === "?" && dialog) {
      event.preventDefault();
      dialog.showModal();
      return;
    }
    if (!/^[ncrax]$/.test(event.key)) return;
    const found = document.querySelector(`[data-key="${event.key}"]`);
    if (!found) return;
    event.preventDefault();
    if (found.tagName === "FORM") toForm(found);
    else found.click();
  });

  for (const button of document.querySelectorAll("[data-opens=keys]")) {
    button.hidden = false;
    button.addEventListener("click", () => dialog.showModal());
  }
})();
