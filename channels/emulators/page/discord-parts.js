// What a Discord message is made of, as elements: text, embeds, components; and the fields of its forms.

import { element, link } from "/page/dom.js";
import { renderMarkdown } from "/page/markdown.js";

const ROW = 1;
const BUTTON = 2;
const CHOICE = 3;
const SECTION = 9;
const TEXT = 10;
const CONTAINER = 17;
const STYLES = { 1: "primary", 3: "success", 4: "danger" };

function markdown(text, mention) {
  return renderMarkdown(text, { headings: 3, hasTables: false, hasReferences: false, hasSpoilers: true, mention });
}

// `mention` names a token, `attached` gives the address of an attachment.
export function renderMessage(view, mention, attached) {
  const root = document.createDocumentFragment();
  if (view.is_loading) root.append("is thinking…");
  root.append(markdown(view.content, mention));
  root.append(...view.embeds.map((embed) => embedNode(embed, mention)));
  root.append(...view.components.map((one) => part(one, mention, attached)).filter(Boolean));
  return root;
}

function part(component, mention, attached) {
  const inside = () => (component.components ?? []).map((one) => part(one, mention, attached)).filter(Boolean);
  switch (component.type) {
    case TEXT:
      return markdown(component.content, mention);
    case SECTION:
      return element("div", { class: "section" }, ...inside());
    case CONTAINER:
      return element("div", { class: "container" }, ...inside());
    case 12:
      return element("div", {}, ...component.items.map((item) => media(item.media, attached)));
    case 13:
      return media(component.file, attached);
    case 14:
      return element("hr");
    default:
      return null;
  }
}

function media({ url }, attached) {
  const name = url.replace(/^attachment:\/\//, "");
  const address = attached(name);
  return address ? element("a", { href: address, download: name }, name) : link(url, url);
}

function embedNode(embed, mention) {
  const made = element("div", { class: "embed" });
  if (embed.title) made.append(element("h4", {}, embed.url ? link(embed.url, embed.title) : embed.title));
  if (embed.description) made.append(markdown(embed.description, mention));
  for (const field of embed.fields ?? []) {
    made.append(element("b", {}, field.name), markdown(field.value, mention));
  }
  if (embed.footer) made.append(element("small", {}, embed.footer.text));
  return made;
}

// Buttons and choices, in rows, wherever they stand; `press(customId)` is what pressing does.
export function rowsOf(components, press) {
  return components.flatMap((component) => {
    if (component.type === ROW) return [component.components.map((one) => controlOf(one, press))];
    const inside = rowsOf(component.components ?? [], press);
    return component.accessory?.type === BUTTON ? [...inside, [controlOf(component.accessory, press)]] : inside;
  });
}

function controlOf(component, press) {
  const label = component.label ?? component.emoji?.name ?? component.placeholder ?? "Choose";
  const url = /^https?:\/\//i.test(component.url ?? "") ? component.url : null;
  const choices = component.type === CHOICE ? component.options.map((one) => [one.value, one.label]) : null;
  return {
    label,
    style: STYLES[component.style],
    url,
    choices,
    disabled: component.disabled,
    press: press(component.custom_id),
  };
}

export function fieldsOf(components) {
  return components.flatMap((component) => {
    const inputs = component.components ?? (component.component ? [component.component] : []);
    return inputs
      .filter((input) => input.custom_id)
      .map((input) => ({
        id: input.custom_id,
        label: component.label ?? input.label ?? input.custom_id,
        hint: input.placeholder ?? null,
        kind: input.type === CHOICE ? "choice" : input.style === 2 ? "lines" : "line",
        choices: (input.options ?? []).map((one) => [one.value, one.label]),
        value: input.value ?? "",
        isRequired: input.required ?? true,
        most: input.max_length ?? null,
      }));
  });
}
