// A sheet over the column with fields: the forms that bots open, and the page's own small questions.

import { button, element } from "/page/dom.js";

export class FormSheet {
  #form = null;
  #before = null;

  constructor(column) {
    this.column = column;
    this.node = element("div", { class: "sheet", hidden: true });
    this.node.addEventListener("keydown", (event) => event.key === "Escape" && this.#dismiss());
  }

  // One question of the page itself; `accept` gets `{ name }`.
  ask(title, label, accept) {
    const fields = [{ id: "name", label, kind: "line", isRequired: true, most: 60 }];
    const submit = async (values) => {
      await accept(values);
      return { closes: true };
    };
    this.show({ id: "question", title, fields, submitLabel: "Add", submit, dismiss: () => null });
  }

  show(form) {
    const isSame = this.#form?.id === form.id;
    const values = isSame ? this.#values() : {};
    if (this.node.hidden) this.#before = document.activeElement;
    this.#form = form;
    const fields = form.fields.map((field) => fieldNode(field, values[field.id] ?? field.value ?? ""));
    this.node.replaceChildren(
      element(
        "form",
        {
          role: "dialog",
          "aria-label": form.title,
          autocomplete: "off",
          onsubmit: (event) => this.#submit(event),
        },
        element("h3", {}, form.title),
        form.intro ?? null,
        ...fields,
        element(
          "div",
          { class: "buttons" },
          button(form.closeLabel ?? "Cancel", () => this.#dismiss()),
          element("button", { type: "submit", class: "primary" }, form.submitLabel ?? "Send"),
        ),
      ),
    );
    this.node.hidden = false;
    this.node.querySelector("input, textarea, select, button").focus();
  }

  close(id) {
    if (this.#form?.id !== id) return;
    this.#form = null;
    this.node.hidden = true;
    this.node.replaceChildren();
    this.#before?.focus();
  }

  #values() {
    const inputs = [...this.node.querySelectorAll("[data-field]")];
    return Object.fromEntries(inputs.map((input) => [input.dataset.field, input.value]));
  }

  #submit(event) {
    event.preventDefault();
    const form = this.#form;
    return this.column.observed(async () => {
      const answer = await form.submit(this.#values());
      if (answer?.closes) this.close(form.id);
    });
  }

  #dismiss() {
    const form = this.#form;
    this.close(form.id);
    return this.column.observed(() => form.dismiss());
  }
}

function fieldNode(field, value) {
  const attributes = {
    "data-field": field.id,
    required: field.isRequired,
    maxlength: field.most,
    placeholder: field.hint,
  };
  const input = {
    line: () => element("input", attributes),
    lines: () => element("textarea", { ...attributes, rows: 3 }),
    choice: () => element("select", attributes, ...field.choices.map(([id, label]) => new Option(label, id))),
  }[field.kind]();
  input.value = value;
  const error = field.error && element("span", { class: "error", role: "alert" }, field.error);
  return element(
    "label",
    {},
    element("span", {}, field.label + (field.isRequired ? "" : " (optional)")),
    input,
    error,
  );
}
