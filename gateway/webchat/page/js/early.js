// Runs before anything is painted or fetched: takes the sign-in code out of the address bar and history, and
// sets the theme that was chosen here. main.js takes the code from `culvertCode` and removes it.
"use strict";
(() => {
    const fragment = new URLSearchParams(location.hash.slice(1));
    const code = fragment.get("code");
    if (code !== null) {
        history.replaceState(null, "", location.pathname);
        Object.defineProperty(window, "culvertCode", { value: code, configurable: true });
    }
    // A link pasted over a page that is open changes its fragment only: the page begins again with it.
    addEventListener("hashchange", () => {
        if (new URLSearchParams(location.hash.slice(1)).has("code")) location.reload();
    });
    try {
        const theme = localStorage.getItem("culvert.theme");
        if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    } catch {
        // storage is blocked: the system's theme it is
    }
})();
