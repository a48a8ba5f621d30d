// Hides the questions that the answers so far leave unasked. The server decides by itself: without
// this script all questions are shown, each with its condition in words.
"use strict";
(() => {
  const answers = (form, name) => {
    const fields = [...form.elements].filter((field) => field.name === name);
    return fields.flatMap((field) => {
      if (field.type !== "checkbox") return [field.value];
      if (!field.hasAttribute("value")) return [String(field.checked)];
      return field.checked ? [field.value] : [];
    });
  };
  const show = (form) => {
    for (const question of form.querySelectorAll("[data-depends-on]")) {
      const { dependsOn, equals } = question.dataset;
      const other = form.querySelector(`[name="${CSS.escape(dependsOn)}"]`);
      const asked = other && !other.closest(".question")?.hidden;
      question.hidden = !(asked && answers(form, dependsOn).includes(equals));
    }
  };
  for (const form of document.querySelectorAll("form")) {
    if (!form.querySelector("[data-depends-on]")) continue;
    form.addEventListener("input", () => show(form));
    show(form);
  }
})();
