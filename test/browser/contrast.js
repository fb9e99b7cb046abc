/**
 * Runs in a page: every text that can be seen whose contrast with what lies behind it is too low.
 * WCAG 2.2 §1.4.3 (4.5:1) for all text, the large too; §1.4.11 (3:1) for the outlines of fields.
 */
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  /** Any CSS color as [r, g, b, a], a from 0 to 1. */
  function parse(color) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }

  const over = ([r, g, b, a], below) => [
    ...[r, g, b].map((channel, index) => channel * a + below[index] * (1 - a)),
    1,
  ];

  /** WCAG's relative luminance. */
  function luminance([r, g, b]) {
    const [red, green, blue] = [r, g, b].map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function ratio(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  /** All colors that may lie behind an element: of a gradient, each of its stops. */
  function backgrounds(element) {
    const canvasColor = matchMedia("(prefers-color-scheme: dark)").matches
      ? [18, 18, 18, 1]
      : [255, 255, 255, 1];
    const below = element.parentElement ? backgrounds(element.parentElement) : [canvasColor];
    const { backgroundColor, backgroundImage } = getComputedStyle(element);
    const plain = below.map((color) => over(parse(backgroundColor), color));
    const stops = backgroundImage.match(/(?:rgba?|color|oklch|oklab)\([^)]*\)/g) ?? [];
    return [...plain, ...stops.flatMap((stop) => plain.map((color) => over(parse(stop), color)))];
  }

  function opacity(element) {
    return element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  }

  function check(what, element, color, needed, behind = backgrounds(element), alpha = opacity(element)) {
    const [r, g, b, a] = parse(color);
    const worst = Math.min(...behind.map((below) => ratio(over([r, g, b, a * alpha], below), below)));
    return worst < needed ? [`${what}: ${worst.toFixed(2)} of ${needed}`] : [];
  }

  const low = [];
  let checked = 0;
  for (const element of document.querySelectorAll("body, body *")) {
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const own = [...element.childNodes]
      .filter(({ nodeType }) => nodeType === Node.TEXT_NODE)
      .map(({ textContent }) => textContent.trim())
      .join(" ")
      .trim();
    const named = `<${element.localName}> ${JSON.stringify((own || element.value || "").slice(0, 40))}`;
    if (own !== "" || element.value) {
      checked++;
      low.push(...check(named, element, style.color, 4.5));
    }
    if (element.localName !== "input" || element.type === "hidden") continue;
    if (element.placeholder) {
      const { color, opacity: share } = getComputedStyle(element, "::placeholder");
      low.push(...check(`placeholder of ${named}`, element, color, 4.5, undefined, Number(share)));
    }
    low.push(
      ...check(`outline of ${named}`, element, style.borderTopColor, 3, backgrounds(element.parentElement)),
    );
  }
  return { checked, low };
})();
