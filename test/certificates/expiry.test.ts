import { expect, test } from "bun:test";
import { type Expiry, expiriesOf, measureCertificates } from "../../src/certificates/expiry.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { mergeFamilies, renderFamilies } from "../../src/metrics/text.ts";
import { DAY, HOUR } from "../../src/option/values.ts";
import { testClock } from "../support/clock.ts";

/** `runegate_certificate_expires_seconds`: how long each certificate is good for yet. */

const pairFor = (until: number, ...names: string[]) => ({ names, cert: "", key: "", from: 0, until });

test("of each name the certificate that is served: the first", () => {
  const pairs = [pairFor(5, "a.test", "b.test"), pairFor(3, "b.test", "*.c.test")];
  expect(expiriesOf(pairs)).toEqual([
    ["a.test", 5],
    ["b.test", 5],
    ["*.c.test", 3],
  ]);
  expect(expiriesOf([])).toEqual([]);
});

test("seconds that are left, negative ones after the end, and 0 for none yet", async () => {
  const clock = testClock();
  const registry = createRegistry();
  const expiries: Expiry[] = [
    ["a.test", clock.now() + DAY],
    ["b.test", clock.now() - 1_500],
    ["c.test", undefined],
  ];
  measureCertificates(registry, () => expiries, clock);
  const text = async (main: boolean) => renderFamilies(mergeFamilies([await registry.snapshot(main)]));
  const linesOf = (text: string) => text.split("\n").filter((line) => line.startsWith("runegate_"));
  expect(linesOf(await text(true))).toEqual([
    'runegate_certificate_expires_seconds{name="a.test"} 86400',
    'runegate_certificate_expires_seconds{name="b.test"} -1.5',
    'runegate_certificate_expires_seconds{name="c.test"} 0',
  ]);
  clock.advance(HOUR);
  expect(linesOf(await text(true))[0]).toEndWith("} 82800");
  // A worker has nothing to add.
  expect(linesOf(await text(false))).toEqual([]);
});
