import type { Dkim } from "./backend-settings.ts";

/**
 * Adds a signature to a message (RFC 6376), by which whoever gets it can tell that the domain's owner has sent it. Services by HTTP
 * do so themselves, as do most mail servers.
 */
export async function signed(message: Buffer, dkim: Dkim | undefined): Promise<Buffer> {
  if (dkim === undefined) return message;
  const { default: DKIM } = await import("nodemailer/lib/dkim");
  const { domain, selector, key } = dkim;
  const signer = new DKIM({ domainName: domain, keySelector: selector, privateKey: key });
  const chunks: Uint8Array[] = [];
  for await (const chunk of signer.sign(message)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
