/** A certificate with its key, as it is served. */
export type Pair = {
  /** What it is for: DNS names and addresses, in small letters; `*.example.org` is any one label. */
  readonly names: readonly string[];
  /** PEM, with the chain behind it. */
  readonly cert: string;
  readonly key: string;
  /** Milliseconds since the Unix epoch. */
  readonly from: number;
  readonly until: number;
};

/**
 * Of TLS 1.2, those that keep what was said secret when the key gets out later, and no CBC (RFC 9325 §4.2): HTTP/2 forbids all others
 * (RFC 9113, appendix A). All of TLS 1.3 are so.
 */
const CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20";

/**
 * As `Bun.serve` takes them: by the name that the client says (RFC 6066 §3), and the first for all others.
 */
export function served(pairs: readonly Pair[]): Bun.TLSOptions[] {
  const [first] = pairs;
  if (first === undefined) return [];
  const known = new Set<string>();
  const named = pairs.flatMap(({ names, cert, key }) =>
    names.flatMap((serverName) => {
      if (known.has(serverName)) return [];
      known.add(serverName);
      return [{ serverName, cert, key, ciphers: CIPHERS }];
    }),
  );
  return [{ cert: first.cert, key: first.key, ciphers: CIPHERS }, ...named];
}
