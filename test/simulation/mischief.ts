import type { Gateway } from "./gateways.ts";
import type { Cut } from "./network.ts";
import { type Chance, createChance } from "./random.ts";
import type { SharedStore } from "./stores.ts";
import type { Troubles } from "./troubles.ts";

/** What goes wrong, one after the other, and now and then two things at once. */

const CUT_MS = 10_000;
const DOWN_MS = 1_500;
/** Within which a process that was killed is there again. */
const REPLACED_MS = 4_000;

export type Mischief = {
  /** Each kind once. */
  once(): Promise<void>;
  /** One after the other until it is over. */
  goOn(calm: number, over: () => boolean): Promise<void>;
};

export function createMischief(
  gateways: readonly [Gateway, ...Gateway[]],
  store: SharedStore,
  troubles: Troubles,
  seed: number,
  print: (line: string) => void,
): Mischief {
  const chance = createChance(seed);

  async function during(
    what: Parameters<Troubles["begin"]>[0],
    number: number | undefined,
    work: () => Promise<void>,
  ) {
    const trouble = troubles.begin(what, number);
    const where = number === undefined ? "" : ` g${number}`;
    print(`${(trouble.from / 1000).toFixed(1)} s: ${what}${where}`);
    await work();
    trouble.until = performance.now();
    print(`${(trouble.until / 1000).toFixed(1)} s: over: ${what}${where}`);
  }

  const killWorker = (gateway: Gateway, random: Chance) =>
    during("worker killed", gateway.number, async () => {
      gateway.killWorker(random.below(2));
      await Bun.sleep(REPLACED_MS);
    });
  const killGateway = (gateway: Gateway) =>
    during("gateway killed", gateway.number, async () => {
      await gateway.kill();
      await gateway.start();
    });
  const killStore = () =>
    during("store killed", undefined, async () => {
      await store.kill();
      await Bun.sleep(DOWN_MS);
      await store.start();
    });
  const cut = ({ front, number }: Gateway, how: Cut) =>
    during(`cut ${how}`, number, async () => {
      await front.cut(how);
      await Bun.sleep(CUT_MS);
      await front.mend(how);
    });

  return {
    async once() {
      const [first, second = first, third = first] = gateways;
      const later = async () => {
        await Bun.sleep(2_000);
        await Promise.all([killGateway(second), killWorker(third, chance)]);
      };
      await Promise.all([cut(first, chance.oneIn(2) ? "silent" : "refusing"), later()]);
      await killStore();
    },

    async goOn(calm, over) {
      // Each kind comes before any comes again.
      let kinds: Array<() => Promise<void>> = [];
      while (!over()) {
        if (kinds.length === 0) {
          const any = () => chance.pick(gateways);
          kinds = [
            () => killWorker(any(), chance),
            () => killGateway(any()),
            () => killStore(),
            () => cut(any(), "silent"),
            () => cut(any(), "refusing"),
          ];
        }
        const one = kinds.splice(chance.below(kinds.length), 1)[0];
        const another = chance.oneIn(3) ? killWorker(chance.pick(gateways), chance) : undefined;
        await Promise.all([one?.(), another]);
        const next = performance.now() + calm;
        while (performance.now() < next && !over()) await Bun.sleep(100);
      }
    },
  };
}
