// What both pictures need: a canvas that is sharp on every screen, and the colours of the page.

/** A canvas as large as it is shown, in pixels of the screen; painted anew when that changes. */
export function canvas(element, paint) {
  const context = element.getContext("2d");
  const size = { width: 0, height: 0 };
  const again = () => {
    const scale = window.devicePixelRatio || 1;
    size.width = element.clientWidth;
    size.height = element.clientHeight;
    element.width = Math.round(size.width * scale);
    element.height = Math.round(size.height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    paint();
  };
  new ResizeObserver(again).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  return { context, size };
}

/** The page's colour of a name, as it is now: light or dark. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export const still = matchMedia("(prefers-reduced-motion: reduce)");

/** An element with a text and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)}\u00a0%`;
}

/** A share as a length in CSS. */
export function wide(share) {
  return `${100 * share}%`;
}

/** A whole number with its thousands set apart. */
export function number(value) {
  return value.toLocaleString("en");
}
