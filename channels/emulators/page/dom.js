// Building the page out of elements. Texts only ever become text nodes: nothing that was said is parsed as HTML.

// `element("button", { type: "button", onclick: f, "aria-label": "Send" }, "Send", icon)`; null and false are left out.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

export function button(label, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, label);
}

// The first letter of a name on a colour that stays the same for that name.
export function face(name) {
  const hue = [...name].reduce((sum, one) => (sum * 31 + one.codePointAt(0)) % 997, 7) % 5;
  return element("span", { class: `face hue${hue}`, "aria-hidden": "true" }, [...name][0]?.toUpperCase() ?? "?");
}

// Only web addresses become links; anything else (javascript:, data:) stays a marked text that shows its address.
export function link(address, ...children) {
  const isWeb = /^https?:\/\//i.test(address);
  const attributes = isWeb ? { href: address, target: "_blank", rel: "noopener noreferrer" } : { class: "mark" };
  return element("a", { ...attributes, title: address }, ...children);
}

export function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

export async function base64(file) {
  const address = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return address.slice(address.indexOf(",") + 1);
}
