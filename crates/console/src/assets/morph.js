// Makes one element like another with as few changes as there are differences, so that focus,
// selection and scroll positions stay where they are.

/** Makes the children of `from` those of `to`. Elements with an id are moved rather than rewritten. */
export function morphChildren(from, to) {
  const known = new Map();
  for (const child of from.children) {
    if (child.id) known.set(child.id, child);
  }
  const isBegun = known.size > 0;
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const same = wanted.id ? known.get(wanted.id) : fits(place, wanted) ? place : null;
    if (!same) {
      from.insertBefore(wanted, place);
      if (isBegun && wanted.tagName === "TR") wanted.classList.add("fresh");
      continue;
    }
    if (same === place) place = place.nextSibling;
    else from.insertBefore(same, place);
    morph(same, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function fits(node, wanted) {
  return node && node.nodeType === wanted.nodeType && node.nodeName === wanted.nodeName && !node.id;
}

function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  // A time that stays the same is said relative to now by `times.js`.
  if (from.tagName === "TIME" && from.dateTime === to.dateTime) return;
  // What the reader has opened stays open.
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open" && name !== "class") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  morphChildren(from, to);
}
