import { badRequest } from "../edge/answer.ts";

const LONGEST = 500;

/** What somebody wrote, as one line of plain text, which every store gives back as it was: it is sealed. @throws {Refusal} */
export function readReason(written: string): string {
  const text = written
    .toWellFormed()
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, " ")
    .trim();
  if (text.length > LONGEST) throw badRequest(`A reason has at most ${LONGEST} characters.`);
  return text;
}
