/**
 * Looks for the number with which the SHA-256 of `<salt>.<number>` begins with so many zero bits. Our own SHA-256 (FIPS 180-4), since the
 * browser's is asynchronous, which takes far longer than so short a text, and missing on pages without https.
 */

const BLOCK = 64;
const ROUNDS = 64;

addEventListener("message", ({ data: { salt, bits } }) => postMessage(solve(salt, bits)));

/** The first 32 bits of the fractional parts of a root of the first primes. */
function fractionsOfRoots(root, count) {
  const found = [];
  for (let candidate = 2; found.length < count; candidate++) {
    let isPrime = true;
    for (let divisor = 2; divisor * divisor <= candidate; divisor++) {
      if (candidate % divisor === 0) isPrime = false;
    }
    if (isPrime) found.push((candidate ** (1 / root) % 1) * 2 ** 32);
  }
  return Int32Array.from(found, (value) => value | 0);
}

function solve(salt, bits) {
  const start = fractionsOfRoots(2, 8);
  const constants = fractionsOfRoots(3, ROUNDS);
  const bytes = new DataView(new ArrayBuffer(BLOCK));
  const words = new Int32Array(ROUNDS);

  for (let number = 0; ; number++) {
    const text = `${salt}.${number}`;
    for (let index = 0; index < BLOCK; index++) {
      bytes.setUint8(index, index < text.length ? text.charCodeAt(index) : 0);
    }
    bytes.setUint8(text.length, 0x80);
    bytes.setUint32(BLOCK - 4, text.length * 8);
    if (Math.clz32(firstWordOf(bytes, words, start, constants)) >= bits) return number;
  }
}

/** Of the hash of a text that is one block. */
function firstWordOf(bytes, words, start, constants) {
  for (let round = 0; round < 16; round++) words[round] = bytes.getInt32(round * 4);
  for (let round = 16; round < ROUNDS; round++) {
    const early = words[round - 15];
    const late = words[round - 2];
    const small0 = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3);
    const small1 = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10);
    words[round] = words[round - 16] + small0 + words[round - 7] + small1;
  }
  let [a, b, c, d, e, f, g, h] = start;
  for (let round = 0; round < ROUNDS; round++) {
    const large1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const choice = (e & f) ^ (~e & g);
    const first = (h + large1 + choice + constants[round] + words[round]) | 0;
    const large0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + large0 + majority) | 0;
  }
  return a + start[0];
}

function turn(word, by) {
  return (word >>> by) | (word << (32 - by));
}
