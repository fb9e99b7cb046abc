import type { TestGateway } from "../support/gateway.ts";

/** What `GET /captcha` says of a proof of work. */
export type Offer = {
  readonly kind: string;
  readonly required: boolean;
  readonly challenge: string;
  readonly salt: string;
  readonly bits: number;
  readonly good_seconds: number;
};

export async function offerOf(
  { url }: Pick<TestGateway, "url">,
  headers: Readonly<Record<string, string>> = {},
): Promise<Offer> {
  return (await (await fetch(`${url}/_runegate/captcha`, { headers })).json()) as Offer;
}

/** Does the work, by another SHA-256 than the page's. @returns what is sent as `captcha`. */
export function solved({ challenge, salt, bits }: Pick<Offer, "challenge" | "salt" | "bits">): string {
  return `${numberFor(salt, (zeros) => zeros >= bits)}.${challenge}`;
}

/** The first number whose hash begins with so many zero bits as are wanted. */
export function numberFor(salt: string, isWanted: (zeros: number) => boolean): number {
  for (let number = 0; ; number++) {
    const hash = new Bun.CryptoHasher("sha256").update(`${salt}.${number}`).digest();
    if (isWanted(Math.clz32(hash.readUInt32BE()))) return number;
  }
}
