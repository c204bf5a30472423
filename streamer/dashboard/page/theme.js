// Light or dark: as the system has it, until the switch is used.

const KEY = "moodring-theme";

export function followTheme(button, onChange) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = recall();

  function apply() {
    const theme = chosen ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-checked", String(theme === "dark"));
    onChange();
  }

  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // a browser that keeps nothing: it holds until the page is closed
    }
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}

function recall() {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === "dark" || theme === "light" ? theme : null;
  } catch {
    return null;
  }
}
