// This browser as a device: an Ed25519 key that cannot be taken out of it, and the device token the gateway gave.
// Both live in IndexedDB of this origin. The shared token is never kept. protocol.md 2.9.
const STORE = "identity", DATABASE = "culvert", ENTRY = "device";

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Why this page cannot have a key here; null when it can.
export async function whyNoIdentity() {
    if (!globalThis.isSecureContext || !globalThis.crypto?.subtle) return "insecure";
    try {
        await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    } catch {
        return "old";
    }
    try {
        (await open()).close();
    } catch {
        return "storage";
    }
    return null;
}

export async function loadIdentity() {
    const database = await open();
    try {
        let entry = await ask(database, "readonly", (store) => store.get(ENTRY));
        if (!entry?.keys?.privateKey) {
            const keys = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
            entry = { keys, token: null };
            // Another tab may have made one meanwhile: the first stays.
            await ask(database, "readwrite", (store) => store.add(entry, ENTRY)).catch(() => {});
            entry = (await ask(database, "readonly", (store) => store.get(ENTRY))) ?? entry;
        }
        const raw = await crypto.subtle.exportKey("raw", entry.keys.publicKey);
        return new Identity(entry, base64url(raw), hex(await crypto.subtle.digest("SHA-256", raw)));
    } finally {
        database.close();
    }
}

class Identity {
    #entry;

    constructor(entry, publicKey, deviceId) {
        this.#entry = entry;
        this.publicKey = publicKey;
        this.deviceId = deviceId;
    }

    get token() {
        return this.#entry.token;
    }

    async keepToken(token) {
        if (this.#entry.token === token) return;
        this.#entry = { ...this.#entry, token };
        await change((store) => store.put(this.#entry, ENTRY));
    }

    async forget() {
        this.#entry = { ...this.#entry, token: null };
        await change((store) => store.delete(ENTRY));
    }

    // The `device` of connect; params as they are sent.
    async sign(params, { nonce, ts }) {
        const { client, role, scopes, auth } = params;
        const secret = auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? "";
        const payload = ["v3", this.deviceId, client.id, client.mode, role, scopes.join(","), ts, secret, nonce,
            lower(client.platform), lower(client.deviceFamily)].join("|");
        const signature = await crypto.subtle.sign("Ed25519", this.#entry.keys.privateKey, new TextEncoder().encode(payload));
        return { id: this.deviceId, publicKey: this.publicKey, signature: base64url(signature), signedAt: ts, nonce };
    }
}

const lower = (text) => (text ?? "").trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());

function open() {
    return new Promise((done, fail) => {
        const request = indexedDB.open(DATABASE, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE);
        request.onsuccess = () => done(request.result);
        request.onerror = () => fail(request.error);
        request.onblocked = () => fail(new Error("the browser's storage is busy"));
    });
}

function ask(database, mode, run) {
    return new Promise((done, fail) => {
        const transaction = database.transaction(STORE, mode, { durability: "strict" });
        const request = run(transaction.objectStore(STORE));
        transaction.oncomplete = () => done(request.result);
        transaction.onerror = transaction.onabort = () => fail(transaction.error);
    });
}

async function change(run) {
    const database = await open();
    try {
        await ask(database, "readwrite", run);
    } finally {
        database.close();
    }
}
