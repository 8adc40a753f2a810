"""A script for a page: the contrasts of its kinds of text."""

# The contrast of each kind of text with what is painted behind it.
CONTRASTS = """
const parse = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const bands = [...document.querySelectorAll(".band")];
function behind(element) {
  for (let one = element; one; one = one.parentElement) {
    const color = parse(getComputedStyle(one).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
    if (one.classList.contains("step")) {
      const box = one.getBoundingClientRect();
      const band = bands.find((b) => { const r = b.getBoundingClientRect();
        return r.left <= box.left && r.top <= box.top && r.bottom >= box.bottom && r.right >= box.right; });
      if (band) return parse(getComputedStyle(band).backgroundColor);
    }
  }
  return [255, 255, 255];
}
const found = {};
const kinds = "h1, h2, p, code, pre, li, .number, .client, .step, .answer, label, summary, td, th, a";
for (const element of document.querySelectorAll(kinds)) {
  if (!element.textContent.trim()) continue;
  const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const name = `${element.tagName}.${element.className}`;
  found[name] = Math.min(contrast, found[name] || 99);
}
return found;
"""
