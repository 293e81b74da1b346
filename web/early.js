// A classic script, so that the chosen theme and language are there before the first paint.
(() => {
  try {
    const saved = JSON.parse(localStorage.getItem("hearth.settings") || "{}");
    if (saved.theme === "light" || saved.theme === "dark") {
      document.documentElement.dataset.theme = saved.theme;
    }
    if (saved.language === "zh") document.documentElement.lang = "zh-CN";
  } catch {
    // No storage, or spoilt: the defaults of the page.
  }
})();
