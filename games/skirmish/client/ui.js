// Small helpers for the page.

export const byId = (id) => document.getElementById(id);

/** An element; text is text, never markup. */
export function make(tag, { text, className, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter(Boolean));
  return element;
}

const TOASTS_MAX = 4;

export function toast(text, kind = 'info') {
  const box = byId('toasts');
  const item = make('div', { text, className: `toast ${kind}`, 'data-testid': 'toast' });
  box.append(item);
  while (box.children.length > TOASTS_MAX) box.firstChild.remove();
  setTimeout(() => item.remove(), kind === 'error' ? 6000 : 3500);
}

/** Writes only what has changed: the HUD does this every frame. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure context there is no clipboard; a selection can still be copied.
    const field = make('textarea', { className: 'hidden-label' });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    return copied;
  }
}
