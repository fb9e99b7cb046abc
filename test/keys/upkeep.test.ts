import { expect, test } from "bun:test";
import { createUpkeep } from "../../src/keys/upkeep.ts";
import { DAY } from "../../src/option/values.ts";
import { testClock } from "../support/clock.ts";
import { HOME, openStage } from "./stage.ts";

test("its owner gets one mail, a week before a key ends; a service account none", async () => {
  const clock = testClock();
  const stage = await openStage({ clock });
  try {
    const { gateway, mailbox } = stage.gateway;
    const { id, token } = await stage.key({ description: "nightly" });
    await stage.key({ owner: "service:backup" });
    const upkeep = createUpkeep(gateway);
    async function mails() {
      await upkeep.run();
      await gateway.outbox.runDue();
      return mailbox.mails().map(({ to, subject, text }) => ({ to, subject, text }));
    }
    clock.advance(83 * DAY - 1);
    expect(await mails()).toEqual([]);
    clock.advance(1);
    const sent = await mails();
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ to: "ada@example.org", subject: "An API key of yours ends soon" });
    expect(sent[0]?.text).toContain(`${id} (nightly) ends in 7 days, at 2026-04-02 03:04 UTC.`);
    expect(sent[0]?.text).toContain(`https://${HOME}/_runegate/keys`);
    expect(sent[0]?.text).not.toContain(token.slice(16));
    expect(await mails()).toHaveLength(1);
    clock.advance(6 * DAY);
    expect(await mails()).toHaveLength(1);
  } finally {
    await stage.stop();
  }
});
