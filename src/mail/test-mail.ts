import type { Clock, Random } from "../clock.ts";
import { type Address, domainOf } from "../identity/address.ts";
import type { Mail } from "./mailer.ts";

/** A mail that shows whether mail arrives. @param sender the address that mail is from; undefined in development. */
export function testMail(
  {
    to,
    sender,
    baseUrl,
  }: { readonly to: Address; readonly sender: Address | undefined; readonly baseUrl: string },
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Mail {
  const id = Buffer.from(random.bytes(16)).toString("hex");
  return {
    to,
    subject: "Runegate test mail",
    text: `Hello,

this is a test mail from Runegate at ${baseUrl}.

That you can read it means that login mails from there can reach you.
There is nothing to do.
`,
    html: undefined,
    messageId: `<${id}@${sender === undefined ? "localhost" : domainOf(sender)}>`,
    queuedAt: clock.now(),
  };
}
