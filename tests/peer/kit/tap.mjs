// A relay on loopback between a client and the gateway that keeps every frame it passes on.
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

export async function startTap(port, modules) {
    const { WebSocket, WebSocketServer } = createRequire(path.join(modules, "x"))("ws");
    const frames = []; // {conn, from: "client" | "gateway", frame, text}
    const sockets = new Set();
    let connections = 0;

    const server = http.createServer((request, response) => passHttp(port, request, response));
    const acceptor = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 32 << 20 });
    acceptor.on("connection", (client, request) => {
        const conn = ++connections;
        const headers = request.headers.origin ? { origin: request.headers.origin } : {};
        const gateway = new WebSocket(`ws://127.0.0.1:${port}${request.url}`, { headers, perMessageDeflate: false, maxPayload: 32 << 20 });
        const waiting = [];
        sockets.add(client).add(gateway);
        const keep = (from, text) => {
            let frame;
            try {
                frame = JSON.parse(text);
            } catch {
                frame = undefined;
            }
            frames.push({ conn, from, frame, text });
        };
        client.on("message", (data, binary) => {
            keep("client", String(data));
            if (gateway.readyState === WebSocket.OPEN) gateway.send(data, { binary });
            else waiting.push([data, binary]);
        });
        gateway.on("open", () => waiting.splice(0).forEach(([data, binary]) => gateway.send(data, { binary })));
        gateway.on("message", (data, binary) => {
            keep("gateway", String(data));
            client.send(data, { binary });
        });
        passClose(client, gateway, sockets);
        passClose(gateway, client, sockets);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));

    return {
        port: server.address().port,
        url: `ws://127.0.0.1:${server.address().port}`,
        frames,
        stop() {
            for (const socket of sockets) socket.terminate();
            server.closeAllConnections();
            return new Promise((done) => server.close(done));
        },
    };
}

function passClose(from, to, sockets) {
    from.on("close", (code, reason) => {
        sockets.delete(from);
        if (code >= 1000 && code <= 4999 && code !== 1005 && code !== 1006) to.close(code, reason);
        else to.close();
    });
    from.on("error", () => to.terminate());
}

function passHttp(port, request, response) {
    const { url, method, headers } = request;
    const upstream = http.request({ host: "127.0.0.1", port, path: url, method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    request.pipe(upstream);
}
