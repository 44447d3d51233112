// A TCP proxy as people write them: node proxy.mjs <port to listen on> <port or socket of the gateway>
import net from "node:net";

const [port, to] = process.argv.slice(2);
net.createServer((client) => {
    const gateway = net.connect(/^\d+$/.test(to) ? { port: Number(to), host: "127.0.0.1" } : { path: to });
    client.pipe(gateway).pipe(client);
    for (const socket of [client, gateway]) socket.on("error", () => (client.destroy(), gateway.destroy()));
}).listen(Number(port), "127.0.0.1");
