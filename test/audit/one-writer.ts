import { type AuditTrail, createAuditTrail } from "../../src/audit/trail.ts";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { createFoldingAudit } from "../../src/observe/audit.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { SILENT } from "../support/silent.ts";
import { redeemed } from "./support.ts";

/** A process that writes events into a file for as long as it is let, and says how many there are by now. */

const [path = ""] = process.argv.slice(2);
const store = openSqliteStore({ path, clock: systemClock, log: SILENT });
const trail: AuditTrail = createAuditTrail({
  ...{ store, keep: 0, machine: "vps1", clock: systemClock, random: systemRandom, log: SILENT },
  audit: (...event) => audit(...event),
  auditFirst: (...event) => auditFirst(...event),
});
const { audit, auditFirst } = createFoldingAudit(SILENT, systemClock, trail);

let count = 0;
for (;;) {
  for (let i = 0; i < 1 + (count % 7); i++) trail.keep(redeemed(`u${count++}@example.org`));
  await trail.flush();
  process.send?.(count);
  await new Promise((resolve) => setImmediate(resolve));
}
