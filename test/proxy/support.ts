import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { exchange, type RawResponse } from "../support/raw.ts";
import { startUpstream, type Upstream, type UpstreamSettings } from "../support/upstream.ts";

/** A gateway in front of a scripted application, with one visitor signed in. */
export type Pair = {
  readonly upstream: Upstream;
  readonly gateway: TestGateway;
  /** The gateway's port. */
  readonly port: number;
  /** `Cookie: …` of the session, as a header line. */
  readonly cookie: string;
  /** One request of the signed-in visitor, over a connection of its own. */
  ask(line: string, fields?: readonly string[], body?: string | Uint8Array): Promise<RawResponse>;
  stop(): Promise<void>;
};

export const VISITOR = "ada@example.org";

export async function startPair(
  settings: Omit<TestGatewaySettings, "target"> & { readonly upstream?: UpstreamSettings } = {},
): Promise<Pair> {
  const { upstream: setup, ...rest } = settings;
  const upstream = await startUpstream(setup);
  const gateway = await startGateway({ ...rest, target: upstream.url });
  const cookie = `Cookie: ${await gateway.signIn(VISITOR)}`;
  return {
    upstream,
    gateway,
    port: gateway.port,
    cookie,
    ask: (line, fields = [], body = "") => exchange(gateway.port, line, [cookie, ...fields], body),
    async stop() {
      await gateway.stop();
      upstream.stop();
    },
  };
}

/** The times that tests give are those of a machine at rest. Whoever runs them may have other things to do. */
const BUSY = 3;

/** Waits until `condition` holds, for what no event tells; fails after {@link BUSY} times `withinMs`. */
export async function until(condition: () => boolean, withinMs = 5_000): Promise<void> {
  const end = performance.now() + withinMs * BUSY;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${condition}`);
    await Bun.sleep(2);
  }
}

/** Waits until `count` has not grown for `quietMs`, and gives it. */
export async function settled(count: () => number, quietMs = 500, withinMs = 20_000): Promise<number> {
  let last = count();
  let since = performance.now();
  await until(() => {
    if (count() !== last) {
      last = count();
      since = performance.now();
    }
    return performance.now() - since > quietMs;
  }, withinMs);
  return last;
}

/** What `promise` gives, or an error after {@link BUSY} times `withinMs`: for what would otherwise never happen. */
export async function within<T>(withinMs: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${withinMs} ms`)), withinMs * BUSY);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
