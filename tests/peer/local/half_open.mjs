// Half-open handshakes by the thousand: connections that say nothing, half a request head, or upgrade and
// never send connect; at last the same with hardly any descriptors left. Meanwhile a good client gets its
// hello-ok at once, memory stays bounded, the idlers are gone after their 15 s, and the gateway goes on.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import { sleep } from "../kit/scenario.mjs";
import { connect, newDevice } from "../kit/raw.mjs";

const SILENT = 1000, HALF_HEAD = 1000, UPGRADED = 1000;
const HELLO_MS = 2000; // generous for a sanitizer build on a busy machine; idle it takes some 30
const GROWTH_KB = 48_000; // 512 of each kind are kept at most; with sanitizers
const FEW_DESCRIPTORS = 200;
const GONE_MS = 17_000;
const HEAD = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ";
const UPGRADE =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

export default async function (scenario) {
    // Without the sanitizer's store of freed memory, which would be all that is measured.
    const gateway = await scenario.gateway({ env: { ASAN_OPTIONS: "quarantine_size_mb=1:thread_local_quarantine_size_kb=64" } });
    const before = memoryKb(gateway.child.pid);
    const good = await hello(scenario, gateway, "before any idler");

    const idlers = new Set();
    scenario.atEnd(() => idlers.forEach((socket) => socket.destroy()));
    const crowds = [["silent", SILENT, ""], ["half a head", HALF_HEAD, HEAD], ["upgraded", UPGRADED, UPGRADE]];
    for (const row of crowds) await crowd(scenario, gateway, idlers, ...row);
    const last = performance.now();
    scenario.say(`${idlers.size} of ${SILENT + HALF_HEAD + UPGRADED} idlers still held`);
    scenario.ok((await good.request("health")).ok, "who was connected before is still served");
    const grown = memoryKb(gateway.child.pid) - before;
    scenario.say(`memory grew by ${grown} KB`);
    scenario.ok(grown < GROWTH_KB, `memory grows by less than ${GROWTH_KB} KB`, grown);

    // What is left goes at its deadline; while it lasts new clients come in.
    while (idlers.size > 0 && performance.now() - last < GONE_MS) {
        await (await hello(scenario, gateway, "while the idlers wait"))?.close();
        await sleep(1000);
    }
    scenario.ok(idlers.size === 0, "every idler is dropped at its deadline", idlers.size);
    await (await hello(scenario, gateway, "when they are gone"))?.close();
    if (spawnSync("prlimit", ["--pid", String(gateway.child.pid), `--nofile=${FEW_DESCRIPTORS}:`]).status === 0) {
        for (const [what, count, text] of crowds) await crowd(scenario, gateway, idlers, `${what}, few descriptors`, count / 2, text);
    }
    scenario.ok((await good.request("health")).ok, "and so it is at the end");
    await good.close();
}

async function crowd(scenario, gateway, idlers, what, count, text) {
    const asked = [];
    for (let at = 0; at < count; at++) {
        asked.push(idle(idlers, gateway.port, text));
        if (at % 250 === 249) asked.push(hello(scenario, gateway, `amid ${at + 1} ${what}`).then((peer) => peer?.close()));
        if (at % 50 === 49) await Promise.all(asked.splice(0));
    }
    await Promise.all(asked);
}

// A socket that says `text` and then only listens; it leaves the set when the gateway drops it.
function idle(idlers, port, text) {
    return new Promise((done) => {
        const socket = net.connect(port, "127.0.0.1", () => {
            if (text) socket.write(text);
            done();
        });
        idlers.add(socket);
        socket.resume();
        socket.on("error", done);
        socket.on("close", () => idlers.delete(socket));
    });
}

async function hello(scenario, gateway, when) {
    const began = performance.now();
    const late = new Promise((done) => setTimeout(done, 20_000, null).unref());
    const peer = await Promise.race([connect(gateway.url, { token: gateway.token }).catch((error) => ({ error: error.message })), late]);
    const ms = Math.round(performance.now() - began);
    scenario.ok(peer?.hello && ms < HELLO_MS, `hello-ok within ${HELLO_MS} ms ${when}`, `${peer ? JSON.stringify(peer.error) ?? "hello" : "nothing"} after ${ms} ms`);
    if (/amid/.test(when)) scenario.say(`hello-ok ${when}: ${ms} ms`);
    return peer?.hello ? peer : null;
}

function memoryKb(pid) {
    return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
}
