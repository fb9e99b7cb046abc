import { connect } from "node:net";
import { createServer } from "node:tls";
import { makeCertificate } from "../support/certificate.ts";

/** TLS in front of a gateway, which passes bytes on and knows nothing of HTTP. */
export type TlsEdge = { readonly port: number; stop(): void };

/** @param inside the port of the gateway, asked with each connection. */
export async function startTlsEdge(names: readonly string[], inside: () => number): Promise<TlsEdge> {
  const { key, cert } = makeCertificate({ names });
  const edge = createServer({ key, cert }, (browser) => {
    const gateway = connect(inside(), "127.0.0.1");
    for (const [from, to] of [
      [browser, gateway],
      [gateway, browser],
    ] as const) {
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  edge.listen(0, "127.0.0.1", resolve);
  await promise;
  return { port: (edge.address() as { port: number }).port, stop: () => edge.close() };
}
