// The browser's storage, which may be full or forbidden: then things last as long as the page.
function safe(storage) {
    return {
        get(key) {
            try {
                return storage().getItem(key);
            } catch {
                return null;
            }
        },
        // null removes it. False: it was not kept.
        set(key, value) {
            try {
                if (value === null) storage().removeItem(key);
                else storage().setItem(key, value);
                return true;
            } catch {
                return false;
            }
        },
    };
}

export const kept = safe(() => localStorage); // of this browser
export const tab = safe(() => sessionStorage); // of this tab, over reloads
