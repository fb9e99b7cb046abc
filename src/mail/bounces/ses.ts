import { nodeCrypto } from "../../secret/node-crypto.ts";
import { awsDomain, SNS_TOPIC } from "../backend-settings.ts";
import {
  type Bounce,
  isSignedBy,
  listIn,
  objectIn,
  parsed,
  type ReadNotice,
  type Tools,
  textIn,
} from "./notice.ts";

/** Bounces of Amazon SES, by a topic of Amazon SNS. `key` is the ARN of the topic: anybody may have topics there. */
export const ses: ReadNotice = async ({ body }, topic, tools) => {
  const post = objectIn(parsed(body));
  const { Type: type, TopicArn, Timestamp, MessageId: id, SubscribeURL: subscribeUrl } = post;
  if (TopicArn !== topic || typeof type !== "string" || typeof id !== "string") return undefined;
  if (!(await isSigned(post, regionOf(topic), tools))) return undefined;
  if (type === "SubscriptionConfirmation") {
    // Signed, and of our topic. Asking for it is the answer that SNS waits for.
    if (!isOfSns(textIn(subscribeUrl), regionOf(topic))) return undefined;
    await tools.get(textIn(subscribeUrl));
  }
  const at = Date.parse(textIn(Timestamp));
  return { id, at, bounces: type === "Notification" ? bouncesIn(textIn(post.Message)) : [] };
};

const regionOf = (topic: string) => SNS_TOPIC.exec(topic)?.[1] ?? "";

function bouncesIn(message: string): readonly Bounce[] {
  const { notificationType, eventType = notificationType, bounce } = objectIn(parsed(message));
  const { bounceType, bouncedRecipients } = objectIn(bounce);
  if (eventType !== "Bounce" || bounceType !== "Permanent") return [];
  return listIn(bouncedRecipients).map((recipient) => {
    const { emailAddress, diagnosticCode } = objectIn(recipient);
    return { address: textIn(emailAddress), reason: textIn(diagnosticCode) };
  });
}

/** What is signed, in this order, each with its name; what is not there is left out. */
const SIGNED = "Message MessageId Subject SubscribeURL Timestamp Token TopicArn Type".split(" ");
const NOT_IN_NOTIFICATIONS = ["SubscribeURL", "Token"];

async function isSigned(
  post: Readonly<Record<string, unknown>>,
  region: string,
  tools: Tools,
): Promise<boolean> {
  const { SigningCertURL: url, Signature: signature, SignatureVersion: version, Type: type } = post;
  const certificateUrl = textIn(url);
  if (!isOfSns(certificateUrl, region) || !CERTIFICATE.test(new URL(certificateUrl).pathname)) return false;
  if (version !== "1" && version !== "2") return false;
  const names =
    type === "Notification" ? SIGNED.filter((name) => !NOT_IN_NOTIFICATIONS.includes(name)) : SIGNED;
  const text = names
    .filter((name) => typeof post[name] === "string")
    .map((name) => `${name}\n${post[name]}\n`)
    .join("");
  const { publicKey } = new (nodeCrypto().X509Certificate)(await tools.get(certificateUrl));
  const algorithm = version === "1" ? "sha1" : "sha256";
  return isSignedBy(publicKey, algorithm, text, textIn(signature));
}

const CERTIFICATE = /^\/SimpleNotificationService-[0-9a-f]{1,64}\.pem$/;

/** Whether an address is at SNS itself, in the topic's region: its certificate is what all depends on. */
function isOfSns(address: string, region: string): boolean {
  const url = URL.parse(address);
  if (url === null || url.protocol !== "https:" || url.port !== "" || url.username + url.password !== "")
    return false;
  return url.hostname === `sns.${region}.${awsDomain(region)}`;
}
