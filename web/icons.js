// Line icons on a 24 x 24 grid, drawn with currentColor.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  sliders: "M4 8h10M18 8h2M4 16h2M10 16h10M14 8a2 2 0 1 0 4 0 2 2 0 1 0-4 0M6 16a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
  send: "M12 19V5M5.500 11.500L12 5l6.500 6.500",
  stop: "M7 7h10v10H7z",
  down: "M12 5v14M5.500 12.500L12 19l6.500-6.500",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  check: "M5 12.500l4.500 4.500L19 7.500",
  again: "M19.500 12a7.500 7.500 0 1 1-2.200-5.300L19.500 9M19.500 4v5h-5",
  edit: "M4 20l1-4L16 5l3 3L8 19zM13.500 7.500l3 3",
  trash: "M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13M10.500 11v5.500M13.500 11v5.500",
  save: "M12 4v11M7 10.500l5 5 5-5M5 20h14",
  more: "M6 12h.010M12 12h.010M18 12h.010",
  flame: "M12.500 3c.5 3.500 5.500 5.500 5.500 11a6 6 0 0 1-12 .2c0-2.500 1.200-4 2.500-5.300.2 1.600.8 2.400 1.600 2.800-.2-3.400.2-6.300 2.400-8.700z",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

// Fills the places that the document reserves with data-icon.
export function placeIcons(root) {
  for (const place of root.querySelectorAll("[data-icon]")) {
    if (place.querySelector("svg") === null) place.append(icon(place.dataset.icon));
  }
}
