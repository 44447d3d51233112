// System, light, dark: one button that goes round.
import { h, icon, replace } from "../dom.js";
import { kept } from "../storage.js";

const THEMES = [["system", "system", "Theme: as the system"], ["light", "sun", "Theme: light"], ["dark", "moon", "Theme: dark"]];
const KEY = "culvert.theme";

export function themeButton() {
    const button = h("button", { type: "button", class: "button plain square", on: { click: next } });
    const show = () => {
        const [, name, label] = THEMES.find(([id]) => id === current()) ?? THEMES[0];
        replace(button, icon(name));
        button.setAttribute("aria-label", label);
        button.title = label;
    };
    function next() {
        const at = THEMES.findIndex(([id]) => id === current());
        choose(THEMES[(at + 1) % THEMES.length][0]);
        show();
    }
    show();
    return button;
}

const current = () => document.documentElement.dataset.theme ?? "system";

function choose(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    kept.set(KEY, theme === "system" ? null : theme);
}
