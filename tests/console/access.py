"""What must hold for everybody in every state of the page."""

# Every text on the page against what is painted behind it (WCAG 2.2, 1.4.3): what falls short.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
  const behind = (element) => {
    if (element === null) return [255, 255, 255];
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map(
      (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== "");
    const field = element.matches("select, input, textarea");
    if (!(own || field) || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.matches(":disabled, option") || element.closest(".hidden, [inert], noscript")) continue;
    const back = behind(element);
    const colours = [getComputedStyle(element).color];
    if (element.placeholder) colours.push(getComputedStyle(element, "::placeholder").color);
    for (const colour of colours) {
      const [a, b] = [light(over(rgba(colour), back)), light(back)].sort((x, y) => y - x);
      ++seen;
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) low.push([element.className || element.localName, ratio]);
    }
  }
  return { low, seen };
}"""

STRUCTURE = """() => {
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("[inert]");
  const label = (e) => (e.getAttribute("aria-label") ?? "").trim() ||
    (e.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent.trim()).join("") ||
    [...(e.labels ?? [])].map((l) => l.textContent.trim()).join("") ||
    (e.matches("button, a") ? e.innerText.trim() : "");
  const controls = [...document.querySelectorAll("button, a, input, select, textarea, [tabindex]")];
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  return {
    nameless: controls.filter((e) => shown(e) && label(e) === "").map((e) => e.outerHTML.slice(0, 120)),
    positive: controls.filter((e) => e.tabIndex > 0).length,
    h1: document.querySelectorAll("h1").length,
    landmarks: ["header", "main", "nav", "aside"].map((t) => document.querySelectorAll(t).length),
    twice: ids.filter((id, i) => ids.indexOf(id) !== i),
    styles: [...document.querySelectorAll("[style]:not(textarea, [style=''])")].map((e) => e.outerHTML.slice(0, 160)),
    lang: document.documentElement.lang, title: document.title,
    levels: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((h) => h.checkVisibility())
      .map((h) => Number(h.localName[1])),
  };
}"""


def check(page):
    contrast = page.evaluate(CONTRAST)
    assert contrast["low"] == []
    assert contrast["seen"] >= 5
    structure = page.evaluate(STRUCTURE)
    assert structure["nameless"] == []
    assert structure["positive"] == 0
    assert structure["h1"] == 1
    assert structure["landmarks"] == [1, 1, 1, 1]
    assert structure["twice"] == []
    assert structure["styles"] == []
    assert structure["lang"] in ("en", "zh-CN") and structure["title"]
    assert structure["levels"][0] == 1
