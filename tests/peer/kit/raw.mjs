// A bare protocol client, for what the published ones do not do on command.
import crypto from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";
import { packages } from "./scenario.mjs";

export function newDevice() {
    const { publicKey, privateKey } = crypto.generateKeyPairSync("ed25519");
    const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
    return {
        deviceId: crypto.createHash("sha256").update(raw).digest("hex"),
        publicKey: raw.toString("base64url"),
        publicKeyPem: publicKey.export({ format: "pem", type: "spki" }),
        privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }),
    };
}

export const signText = (privateKeyPem, text) => crypto.sign(null, Buffer.from(text), privateKeyPem).toString("base64url");
export const rawOfPem = (pem) => crypto.createPublicKey(pem).export({ format: "der", type: "spki" }).subarray(-32).toString("base64url");

// protocol.md 2.9, payload v3
function signDevice(device, params, nonce, signedAt) {
    const { client, role, scopes, auth } = params;
    const secret = auth?.token ?? auth?.deviceToken ?? "";
    const fields = ["v3", device.deviceId, client.id, client.mode, role, scopes.join(","), signedAt, secret, nonce, client.platform, ""];
    return { id: device.deviceId, publicKey: device.publicKey, signature: signText(device.privateKeyPem, fields.join("|")), signedAt, nonce };
}

// {hello} or {error} of the connect; request() answers {ok, payload, error}; closed resolves to {code, reason}.
export async function connect(url, { token, deviceToken, device, role = "operator", scopes = ["operator.admin"], id = "cli", mode = "cli", protocol = process.env.CULVERT_PEER_ORACLE === "v3" ? 3 : 4, caps = [], headers, buildId } = {}) {
    const { WebSocket } = createRequire(path.join(packages("v4"), "x"))("ws");
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 32 << 20, ...(headers && { headers }) });
    const waiting = new Map(), listeners = new Set();
    const peer = { events: [], hello: null, error: null, socket };
    let next = 0;

    peer.closed = new Promise((done) => socket.on("close", (code, reason) => {
        for (const { fail } of waiting.values()) fail(new Error(`closed ${code} ${reason}`));
        done({ code, reason: String(reason) });
    }));
    peer.close = () => (socket.close(), peer.closed);
    peer.sendText = (text) => socket.send(text);
    peer.onEvent = (listener) => listeners.add(listener);
    peer.request = (method, params, limitMs = 30_000) => new Promise((done, fail) => {
        const key = `r${++next}`;
        const limit = setTimeout(() => (waiting.delete(key), fail(new Error(`${method}: no answer in ${limitMs} ms`))), limitMs);
        waiting.set(key, { done: (frame) => (clearTimeout(limit), done(frame)), fail: (e) => (clearTimeout(limit), fail(e)) });
        socket.send(JSON.stringify({ type: "req", id: key, method, ...(params === undefined ? {} : { params }) }));
    });
    const challenge = new Promise((done, fail) => {
        socket.on("error", fail);
        socket.on("message", (data) => {
            const frame = JSON.parse(String(data));
            if (frame.event === "connect.challenge") return done(frame.payload);
            if (frame.type === "event") {
                peer.events.push(frame);
                for (const listener of listeners) listener(frame);
            }
            if (frame.type === "res") {
                waiting.get(frame.id)?.done(frame);
                waiting.delete(frame.id);
            }
        });
    });

    const { nonce, ts } = await challenge;
    const client = { id, version: "peer-test", platform: "linux", mode, ...(buildId && { buildId }) };
    const auth = { ...(token && { token }), ...(deviceToken && { deviceToken }) };
    const params = { minProtocol: protocol, maxProtocol: protocol, client, role, scopes, caps, ...(Object.keys(auth).length && { auth }) };
    if (device) params.device = signDevice(device, params, nonce, ts);
    const answer = await peer.request("connect", params);
    if (answer.ok) peer.hello = answer.payload;
    else peer.error = answer.error;
    return peer;
}
