// Made by `make types` from docs/openapi.json; do not edit.
import type { KilnEvent, Media, Message, Notice, Person } from './events.ts';
/**
 * An id: a decimal number as a string, opaque to clients.
 */
export type Id = string;
/**
 * RFC 3339, in UTC.
 */
export type Time = string;
/**
 * Every code there is; docs/errors.md tells of each.
 */
export type ProblemCode =
    | 'malformed'
    | 'unauthorized'
    | 'webhook_signature_invalid'
    | 'webhook_timestamp_old'
    | 'webhook_key_unknown'
    | 'forbidden'
    | 'link_expired'
    | 'not_found'
    | 'method_not_allowed'
    | 'state_conflict'
    | 'idempotency_conflict'
    | 'too_early'
    | 'already_created'
    | 'quota_exceeded'
    | 'gone'
    | 'too_large'
    | 'unsupported_media_type'
    | 'invalid_field'
    | 'upgrade_required'
    | 'too_many_requests'
    | 'internal'
    | 'unavailable'
    | 'http_version';
/**
 * ISO 4217.
 */
export type Currency = string;
/**
 * user: its own things; admin: everything.
 */
export type Role = 'user' | 'admin';
/**
 * A signed path; expires.
 */
export type MediaUrl = string;
/**
 * read: look; generate: jobs and uploads; chat: people and messages; account: profile, keys, tickets; admin: administration, where the account is an administrator's.
 */
export type Scope = 'read' | 'generate' | 'chat' | 'account' | 'admin';
/**
 * An event that can be sent to a webhook endpoint; docs/event-types.md tells of each.
 */
export type EventName =
    | 'job.queued'
    | 'job.started'
    | 'job.cancelling'
    | 'job.held'
    | 'job.completed'
    | 'job.failed'
    | 'job.cancelled'
    | 'media.ready'
    | 'media.rejected'
    | 'message.created'
    | 'message.delivered'
    | 'message.read'
    | 'message.edited'
    | 'message.deleted'
    | 'conversation.changed'
    | 'notification'
    | 'billing.changed';
/**
 * What a file or a result is.
 */
export type MediaType = 'image' | 'video' | 'audio';
/**
 * queued: waits; running; cancelling: a runner is being told; held: waits for an administrator's word; the others are final.
 */
export type JobState = 'queued' | 'running' | 'cancelling' | 'held' | 'completed' | 'failed' | 'cancelled';
/**
 * A whole number from 0 to 2^63-1, as a number or a string.
 */
export type Seed = number | string | null;
/**
 * stage adds furniture, declutter removes it, restyle replaces it.
 */
export type StagingMode = 'stage' | 'declutter' | 'restyle';

/**
 * An error (RFC 9457). `code` is stable; `detail` is a sentence for people.
 */
export interface Problem {
    /**
     * urn:kiln:problem: and the code.
     */
    type: string;
    /**
     * The code in words.
     */
    title: string;
    /**
     * The HTTP status once more.
     */
    status: number;
    /**
     * What was wrong this time.
     */
    detail: string;
    /**
     * What programs tell errors by.
     */
    code:
        | 'malformed'
        | 'unauthorized'
        | 'webhook_signature_invalid'
        | 'webhook_timestamp_old'
        | 'webhook_key_unknown'
        | 'forbidden'
        | 'link_expired'
        | 'not_found'
        | 'method_not_allowed'
        | 'state_conflict'
        | 'idempotency_conflict'
        | 'too_early'
        | 'already_created'
        | 'quota_exceeded'
        | 'gone'
        | 'too_large'
        | 'unsupported_media_type'
        | 'invalid_field'
        | 'upgrade_required'
        | 'too_many_requests'
        | 'internal'
        | 'unavailable'
        | 'http_version';
    /**
     * X-Request-Id of the answer; the log has it too.
     */
    request_id: string;
    /**
     * The fields that are wrong, the first eight at once.
     *
     * @minItems 1
     */
    errors?: [FieldError, ...FieldError[]];
}
/**
 * A field that is wrong.
 */
export interface FieldError {
    /**
     * A JSON pointer into the body, or the name of a query parameter.
     */
    field: string;
    /**
     * What it must be.
     */
    message: string;
}
/**
 * Something to be signed in a wallet.
 */
export interface Nonce {
    /**
     * Goes into the message, once.
     */
    nonce: string;
    /**
     * Until when it is taken.
     */
    expires_at: string;
}
/**
 * A message of EIP-4361 and its signature.
 */
export interface WalletProof {
    /**
     * The text that was signed, to the letter.
     */
    message: string;
    /**
     * 65 bytes in hex, as wallets give them.
     */
    signature: string;
}
/**
 * A token that was just made.
 */
export interface Session {
    /**
     * A JWT: Authorization: Bearer.
     */
    token: string;
    /**
     * When it ends.
     */
    expires_at: string;
    account: Account;
}
/**
 * Whose it is.
 */
export interface Account {
    /**
     * The account.
     */
    id: string;
    /**
     * The name it is found by, or null.
     */
    handle: string | null;
    /**
     * What it is called, or null.
     */
    display_name: string | null;
    /**
     * Where mail goes, or null.
     */
    email: string | null;
    /**
     * Whether the link that was mailed there was opened; false: nothing else is mailed.
     */
    email_verified: boolean;
    /**
     * Whether it wants mail.
     */
    notify_email: boolean;
    /**
     * Whether others see when it is online, and it them.
     */
    show_presence: boolean;
    /**
     * What it may do.
     */
    role: 'user' | 'admin';
    /**
     * True: every call is refused.
     */
    is_suspended: boolean;
    /**
     * Null: there are no plans yet.
     */
    plan: null;
    balance: Balance;
    /**
     * Since when.
     */
    created_at: string;
}
/**
 * Credit left.
 */
export interface Balance {
    /**
     * In millionths of the currency: the sum of the ledger.
     */
    amount: number;
    currency: Currency;
}
/**
 * An account, as its owner sees it.
 */
export interface Account1 {
    /**
     * The account.
     */
    id: string;
    /**
     * The name it is found by, or null.
     */
    handle: string | null;
    /**
     * What it is called, or null.
     */
    display_name: string | null;
    /**
     * Where mail goes, or null.
     */
    email: string | null;
    /**
     * Whether the link that was mailed there was opened; false: nothing else is mailed.
     */
    email_verified: boolean;
    /**
     * Whether it wants mail.
     */
    notify_email: boolean;
    /**
     * Whether others see when it is online, and it them.
     */
    show_presence: boolean;
    /**
     * What it may do.
     */
    role: 'user' | 'admin';
    /**
     * True: every call is refused.
     */
    is_suspended: boolean;
    /**
     * Null: there are no plans yet.
     */
    plan: null;
    balance: Balance;
    /**
     * Since when.
     */
    created_at: string;
}
/**
 * What is to change; null empties a text.
 */
export interface AccountChange {
    /**
     * 3 to 30 of a-z, 0-9 and _; nobody else has it.
     */
    handle?: string | null;
    /**
     * At most 80 characters.
     */
    display_name?: string | null;
    /**
     * An address; another one than before is mailed a link that proves it.
     */
    email?: string | null;
    /**
     * Mail, or none.
     */
    notify_email?: boolean;
    /**
     * Show when one is online, and see it of others; or neither.
     */
    show_presence?: boolean;
}
/**
 * Every token from before is refused.
 */
export interface SignedOut {
    /**
     * Tokens issued before this are refused.
     */
    signed_out_at: string;
}
/**
 * A way into an account.
 */
export interface Identity {
    /**
     * The identity.
     */
    id: string;
    /**
     * wallet: signs in with a signature; token: an issuer's subject.
     */
    kind: 'wallet' | 'token';
    /**
     * Who vouches for it; urn:kiln:wallet of wallets.
     */
    issuer: string;
    /**
     * An address, or the token's subject.
     */
    subject: string;
    /**
     * Since when it leads here.
     */
    created_at: string;
}
/**
 * All of them at once.
 */
export interface IdentityPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Identity[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * Another token that one holds.
 */
export interface TokenProof {
    /**
     * A JWT that is valid here.
     */
    token: string;
}
/**
 * A line of the ledger.
 */
export interface LedgerEntry {
    /**
     * The line.
     */
    id: string;
    /**
     * grant: given; hold: set aside; release: the hold's end; charge: what a job cost.
     */
    kind: 'grant' | 'hold' | 'release' | 'charge';
    /**
     * In millionths of the currency; negative is less credit.
     */
    amount: number;
    currency: Currency;
    /**
     * The job, or null.
     */
    job_id: Id | null;
    /**
     * A word to it.
     */
    note: string | null;
    /**
     * When.
     */
    at: string;
}
/**
 * A message that the account wrote.
 */
export interface OwnMessage {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    conversation_id: string;
    /**
     * What it says, or null.
     */
    text: string | null;
    /**
     * What came with it.
     *
     * Items: An id: a decimal number as a string, opaque to clients.
     */
    media: string[];
    /**
     * When.
     */
    created_at: string;
}
/**
 * What is an account's: what it made, wrote, was told and paid.
 */
export interface Export {
    /**
     * When this was read.
     */
    exported_at: string;
    account: Account1;
    /**
     * The ways into it.
     */
    identities: Identity[];
    /**
     * What was asked for: all of them, or one.
     */
    sections: {
        generations?: ExportJobs;
        projects?: ExportProjects;
        media?: ExportMedias;
        messages?: ExportOwnMessages;
        notifications?: ExportNotices;
        ledger?: ExportLedgerEntrys;
        shares?: SharePage;
        api_keys?: ApiKeyPage;
        webhook_endpoints?: EndpointPage;
        blocks?: PersonPage;
        invites?: InvitePage;
        conversations?: ExportConversations;
    };
}
/**
 * A page of jobs, try-ons and stagings.
 */
export interface ExportJobs {
    /**
     * Newest first unless said otherwise.
     */
    items: ExportJob[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A job of the account, of whatever kind.
 */
export interface ExportJob {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Which product asked for it.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload';
    /**
     * What comes out; null of pipelines that make no media.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * Where it is; completed, failed and cancelled are final.
     */
    state: 'queued' | 'running' | 'cancelling' | 'held' | 'completed' | 'failed' | 'cancelled';
    /**
     * What was asked for.
     */
    prompt: string | null;
    /**
     * The model of the catalogue, or null: a pipeline of several.
     */
    model: string | null;
    /**
     * Parameters of the model, with the defaults filled in; see params_schema of the model.
     */
    params: {
        [k: string]: unknown;
    };
    /**
     * The seed, as a decimal string, since it may be above 2^53; null of what has none.
     */
    seed: string | null;
    progress: JobAdvance;
    /**
     * 1 is next; exact up to 1,000, then null, as it is when the job does not wait.
     */
    queue_position: number | null;
    /**
     * How often a stage of it was begun.
     */
    attempts: number;
    cost: Cost;
    /**
     * Why it failed or is held, or null.
     */
    error: JobFailure | null;
    /**
     * What it works on.
     */
    media: Media[];
    /**
     * What it made.
     */
    outputs: Media[];
    /**
     * The first output, signed; null while there is none.
     */
    result_url: MediaUrl | null;
    /**
     * The job that this one repeats or varies, or null.
     */
    parent_id: Id | null;
    /**
     * Grows with every change of state; events carry it too.
     */
    version: number;
    /**
     * When it was made.
     */
    created_at: string;
    /**
     * When a runner first had it, or null.
     */
    started_at: Time | null;
    /**
     * When it ended, or null.
     */
    finished_at: Time | null;
    links: JobLinks;
}
/**
 * How far it is.
 */
export interface JobAdvance {
    /**
     * Of the whole job.
     */
    fraction: number;
    /**
     * The stage at work, from 1.
     */
    stage: number;
    /**
     * How many there are.
     */
    stages: number;
    /**
     * What is being done.
     */
    label: string | null;
}
/**
 * What it costs.
 */
export interface Cost {
    /**
     * Before it ran.
     */
    estimated: number | null;
    /**
     * As the provider said, or null while that is not known.
     */
    actual: number | null;
    currency: Currency;
}
/**
 * Why a job is where it is.
 */
export interface JobFailure {
    /**
     * A stable word: an error class, cancelled, poison, operator.
     */
    code: string;
    /**
     * A sentence, or null.
     */
    message: string | null;
    /**
     * Whether it cost something all the same.
     */
    charged: boolean;
}
/**
 * Where to go from here.
 */
export interface JobLinks {
    /**
     * This.
     */
    self: string;
    /**
     * The stream.
     */
    events: string;
    /**
     * POST.
     */
    cancel: string;
    /**
     * POST.
     */
    retry: string;
}
/**
 * A page of projects.
 */
export interface ExportProjects {
    /**
     * Newest first unless said otherwise.
     */
    items: ExportProject[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A project of the account.
 */
export interface ExportProject {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Its name.
     */
    name: string;
    /**
     * What its owner says of it.
     */
    description: string;
    /**
     * Its originals.
     */
    media: Id[];
    /**
     * What was made of them.
     */
    images: Id[];
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * A page of files.
 */
export interface ExportMedias {
    /**
     * Newest first unless said otherwise.
     */
    items: Media[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A page of messages.
 */
export interface ExportOwnMessages {
    /**
     * Newest first unless said otherwise.
     */
    items: OwnMessage[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A page of notifications.
 */
export interface ExportNotices {
    /**
     * Newest first unless said otherwise.
     */
    items: Notice[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A page of the ledger.
 */
export interface ExportLedgerEntrys {
    /**
     * Newest first unless said otherwise.
     */
    items: LedgerEntry[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * The account's public pages.
 */
export interface SharePage {
    /**
     * Newest first.
     */
    items: Share[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A public page, without its address.
 */
export interface Share {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    job_id: string;
    /**
     * Whether its page is there now.
     */
    is_open: boolean;
    /**
     * Until when it is there; null: until it is taken back.
     */
    expires_at: Time | null;
    /**
     * When it was taken back, or null.
     */
    revoked_at: Time | null;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * The account's keys.
 */
export interface ApiKeyPage {
    /**
     * Newest first unless said otherwise.
     */
    items: ApiKey[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A key, without the key.
 */
export interface ApiKey {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * What it is for.
     */
    name: string;
    /**
     * How it begins.
     */
    prefix: string;
    /**
     * What it may do.
     */
    scopes: Scope[];
    /**
     * When it ends, or null.
     */
    expires_at: Time | null;
    /**
     * When it was last used, to the minute; or null.
     */
    last_used_at: Time | null;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * The account's endpoints.
 */
export interface EndpointPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Endpoint[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * An endpoint, without its secret.
 */
export interface Endpoint {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Where deliveries go.
     */
    url: string;
    /**
     * What it is told.
     */
    types: EventName[];
    /**
     * False: nothing is sent.
     */
    is_enabled: boolean;
    /**
     * Since when it is disabled, or null.
     */
    disabled_at: Time | null;
    /**
     * Why, or null.
     */
    disabled_why: string | null;
    /**
     * Deliveries that failed in a row.
     */
    failures: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * People.
 */
export interface PersonPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Person[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * The account's links.
 */
export interface InvitePage {
    /**
     * Newest first unless said otherwise.
     */
    items: Invite[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A link, without its token.
 */
export interface Invite {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * The group, or null.
     */
    conversation_id: Id | null;
    /**
     * RFC 3339, in UTC.
     */
    expires_at: string;
    /**
     * When it was taken back, or null.
     */
    revoked_at: Time | null;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * A page of the conversations the account is or was in.
 */
export interface ExportConversations {
    /**
     * Newest first unless said otherwise.
     */
    items: ExportConversation[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A conversation the account is or was in.
 */
export interface ExportConversation {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * A group, or a conversation of two.
     */
    is_group: boolean;
    /**
     * Of a group, or null.
     */
    title: string | null;
    /**
     * RFC 3339, in UTC.
     */
    joined_at: string;
    /**
     * It was.
     */
    has_left: boolean;
    /**
     * Up to which message one has read.
     */
    read_number: number;
}
/**
 * A key to be made.
 */
export interface ApiKeyWish {
    /**
     * A line of 1 to 80 characters.
     */
    name: string;
    /**
     * What it may do.
     *
     * @minItems 1
     */
    scopes: [Scope, ...Scope[]];
    /**
     * A time to come, RFC 3339; null or absent: never.
     */
    expires_at?: string | null;
}
/**
 * A key, the only time it is shown.
 */
export interface NewApiKey {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * What it is for.
     */
    name: string;
    /**
     * How it begins.
     */
    prefix: string;
    /**
     * What it may do.
     */
    scopes: Scope[];
    /**
     * When it ends, or null.
     */
    expires_at: Time | null;
    /**
     * When it was last used, to the minute; or null.
     */
    last_used_at: Time | null;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * It: X-API-Key.
     */
    key: string;
}
/**
 * An endpoint to be made.
 */
export interface EndpointWish {
    /**
     * An https URL of at most 2000 characters, at a host of the public internet that is named, not numbered; others are for hosts that the operator lists.
     */
    url: string;
    /**
     * What it is told.
     *
     * @minItems 1
     */
    types: [EventName, ...EventName[]];
}
/**
 * An endpoint, the only time its secret is shown.
 */
export interface NewEndpoint {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Where deliveries go.
     */
    url: string;
    /**
     * What it is told.
     */
    types: EventName[];
    /**
     * False: nothing is sent.
     */
    is_enabled: boolean;
    /**
     * Since when it is disabled, or null.
     */
    disabled_at: Time | null;
    /**
     * Why, or null.
     */
    disabled_why: string | null;
    /**
     * Deliveries that failed in a row.
     */
    failures: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * Signs the deliveries.
     */
    secret: string;
}
/**
 * The new secret, shown once.
 */
export interface EndpointSecret {
    /**
     * whsec_ and 32 bytes in base64.
     */
    secret: string;
}
/**
 * One try.
 */
export interface DeliveryAttempt {
    /**
     * Which.
     */
    attempt: number;
    /**
     * RFC 3339, in UTC.
     */
    at: string;
    /**
     * The HTTP status, or null: there was none.
     */
    status: number | null;
    /**
     * How long it took.
     */
    elapsed_ms: number | null;
    /**
     * What went wrong, or null.
     */
    error: string | null;
    /**
     * How long the answer's body was, as far as it was read, or null. The body is not kept.
     */
    reply_bytes: number | null;
}
/**
 * An event on its way to an endpoint.
 */
export interface Delivery {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * The event's type.
     */
    type: string;
    /**
     * The header webhook-id: the same at every try.
     */
    webhook_id: string;
    /**
     * due: it will be tried; sent: taken; failed: given up.
     */
    state: 'due' | 'sent' | 'failed';
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * When it was sent or given up, or null.
     */
    ended_at: Time | null;
    /**
     * When it is tried next, or null.
     */
    next_at: Time | null;
    /**
     * The last twenty, newest first.
     */
    attempts: DeliveryAttempt[];
}
/**
 * Deliveries of an endpoint.
 */
export interface DeliveryPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Delivery[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * How far a job is.
 */
export interface JobAdvance1 {
    /**
     * Of the whole job.
     */
    fraction: number;
    /**
     * The stage at work, from 1.
     */
    stage: number;
    /**
     * How many there are.
     */
    stages: number;
    /**
     * What is being done.
     */
    label: string | null;
}
/**
 * Money, in millionths of the currency.
 */
export interface Cost1 {
    /**
     * Before it ran.
     */
    estimated: number | null;
    /**
     * As the provider said, or null while that is not known.
     */
    actual: number | null;
    currency: Currency;
}
/**
 * Paths.
 */
export interface JobLinks1 {
    /**
     * This.
     */
    self: string;
    /**
     * The stream.
     */
    events: string;
    /**
     * POST.
     */
    cancel: string;
    /**
     * POST.
     */
    retry: string;
}
/**
 * A generation.
 */
export interface Job {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Which product asked for it.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload';
    /**
     * What comes out; null of pipelines that make no media.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * Where it is; completed, failed and cancelled are final.
     */
    state: 'queued' | 'running' | 'cancelling' | 'held' | 'completed' | 'failed' | 'cancelled';
    /**
     * What was asked for.
     */
    prompt: string | null;
    /**
     * The model of the catalogue, or null: a pipeline of several.
     */
    model: string | null;
    /**
     * Parameters of the model, with the defaults filled in; see params_schema of the model.
     */
    params: {
        [k: string]: unknown;
    };
    /**
     * The seed, as a decimal string, since it may be above 2^53; null of what has none.
     */
    seed: string | null;
    progress: JobAdvance2;
    /**
     * 1 is next; exact up to 1,000, then null, as it is when the job does not wait.
     */
    queue_position: number | null;
    /**
     * How often a stage of it was begun.
     */
    attempts: number;
    cost: Cost2;
    /**
     * Why it failed or is held, or null.
     */
    error: JobFailure | null;
    /**
     * What it works on.
     */
    media: Media[];
    /**
     * What it made.
     */
    outputs: Media[];
    /**
     * The first output, signed; null while there is none.
     */
    result_url: MediaUrl | null;
    /**
     * The job that this one repeats or varies, or null.
     */
    parent_id: Id | null;
    /**
     * Grows with every change of state; events carry it too.
     */
    version: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * When a runner first had it, or null.
     */
    started_at: Time | null;
    /**
     * When it ended, or null.
     */
    finished_at: Time | null;
    links: JobLinks2;
}
/**
 * How far it is.
 */
export interface JobAdvance2 {
    /**
     * Of the whole job.
     */
    fraction: number;
    /**
     * The stage at work, from 1.
     */
    stage: number;
    /**
     * How many there are.
     */
    stages: number;
    /**
     * What is being done.
     */
    label: string | null;
}
/**
 * What it costs.
 */
export interface Cost2 {
    /**
     * Before it ran.
     */
    estimated: number | null;
    /**
     * As the provider said, or null while that is not known.
     */
    actual: number | null;
    currency: Currency;
}
/**
 * Where to go from here.
 */
export interface JobLinks2 {
    /**
     * This.
     */
    self: string;
    /**
     * The stream.
     */
    events: string;
    /**
     * POST.
     */
    cancel: string;
    /**
     * POST.
     */
    retry: string;
}
/**
 * Jobs of the account.
 */
export interface JobPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Job[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * What to make.
 */
export interface GenerationWish {
    /**
     * What comes out.
     */
    type: 'image' | 'video' | 'audio';
    /**
     * What it shall show or say: at most 8000 bytes; needed unless there is media.
     */
    prompt?: string | null;
    /**
     * A model of the catalogue; absent: the default of its type.
     */
    model?: string;
    /**
     * Parameters: see params_schema of the model. At most 64 KiB.
     */
    params?: {
        [k: string]: unknown;
    };
    /**
     * Absent: a random one.
     */
    seed?: number | string | null;
    /**
     * So many jobs, with the next seeds.
     */
    variants?: number;
    /**
     * Uploads that are ready.
     *
     * @maxItems 12
     */
    media?:
        | []
        | [Id]
        | [Id, Id]
        | [Id, Id, Id]
        | [Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id, Id, Id, Id];
}
/**
 * What it would cost.
 */
export interface Estimate {
    /**
     * In millionths of the currency, all variants together.
     */
    estimated: number;
    currency: Currency;
}
/**
 * How to try again; all may be absent.
 */
export interface RetryWish {
    /**
     * same, new, or a number. Left out: same, but new where a completed job gets a reason and no other prompt.
     */
    seed?: ('same' | 'new') | Seed;
    /**
     * Why; goes into the history.
     */
    reason?: string;
    /**
     * Another prompt.
     */
    prompt?: string | null;
}
/**
 * What a model costs.
 */
export interface Price {
    /**
     * For its example, in millionths.
     */
    estimated: number | null;
    /**
     * The base price.
     */
    base: number;
    /**
     * How parameters change it; null: they do not.
     */
    rule: {
        [k: string]: unknown;
    } | null;
    currency: Currency;
}
/**
 * As measured in the newest jobs.
 */
export interface Measured {
    /**
     * How many.
     */
    jobs: number;
    /**
     * How many of them completed.
     */
    completed: number;
    /**
     * The median time, or null.
     */
    took_ms: number | null;
}
/**
 * A model of the catalogue.
 */
export interface Model {
    /**
     * Its name: what `model` takes.
     */
    id: string;
    /**
     * For people.
     */
    title: string;
    /**
     * What it does.
     */
    description: string;
    media_type: MediaType;
    /**
     * Who runs it.
     */
    provider: string;
    /**
     * Words to find it by.
     */
    tags: string[];
    /**
     * Whether it is taken when none is named.
     */
    is_default: boolean;
    /**
     * JSON Schema of `params`.
     */
    params_schema: {
        [k: string]: unknown;
    };
    /**
     * So many files it needs.
     */
    min_media: number;
    /**
     * The input of an example.
     */
    example: {
        [k: string]: unknown;
    };
    price: Price;
    measured: Measured;
    /**
     * Whether it can be used now.
     */
    available: boolean;
    /**
     * Why not, or null.
     */
    unavailable_reason: string | null;
}
/**
 * Models, in the order asked for.
 */
export interface ModelPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Model[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * Which pipeline.
 */
export interface PipelineVersion {
    /**
     * The pipeline.
     */
    name: string;
    /**
     * Its version.
     */
    version: number;
}
/**
 * A try-on: a Job with its category.
 */
export interface Tryon {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Which product asked for it.
     */
    kind: 'tryon';
    /**
     * What comes out; null of pipelines that make no media.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * Where it is; completed, failed and cancelled are final.
     */
    state: 'queued' | 'running' | 'cancelling' | 'held' | 'completed' | 'failed' | 'cancelled';
    /**
     * What was asked for.
     */
    prompt: string | null;
    /**
     * The model of the catalogue, or null: a pipeline of several.
     */
    model: string | null;
    /**
     * Parameters of the model, with the defaults filled in; see params_schema of the model.
     */
    params: {
        [k: string]: unknown;
    };
    /**
     * The seed, as a decimal string, since it may be above 2^53; null of what has none.
     */
    seed: string | null;
    progress: JobAdvance3;
    /**
     * 1 is next; exact up to 1,000, then null, as it is when the job does not wait.
     */
    queue_position: number | null;
    /**
     * How often a stage of it was begun.
     */
    attempts: number;
    cost: Cost3;
    /**
     * Why it failed or is held, or null.
     */
    error: JobFailure | null;
    /**
     * What it works on.
     */
    media: Media[];
    /**
     * What it made.
     */
    outputs: Media[];
    /**
     * The first output, signed; null while there is none.
     */
    result_url: MediaUrl | null;
    /**
     * The job that this one repeats or varies, or null.
     */
    parent_id: Id | null;
    /**
     * Grows with every change of state; events carry it too.
     */
    version: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * When a runner first had it, or null.
     */
    started_at: Time | null;
    /**
     * When it ended, or null.
     */
    finished_at: Time | null;
    links: JobLinks3;
    /**
     * What it is of.
     */
    category: string;
    /**
     * Why it was asked for again, or null.
     */
    reason: string | null;
    pipeline: PipelineVersion;
}
/**
 * How far it is.
 */
export interface JobAdvance3 {
    /**
     * Of the whole job.
     */
    fraction: number;
    /**
     * The stage at work, from 1.
     */
    stage: number;
    /**
     * How many there are.
     */
    stages: number;
    /**
     * What is being done.
     */
    label: string | null;
}
/**
 * What it costs.
 */
export interface Cost3 {
    /**
     * Before it ran.
     */
    estimated: number | null;
    /**
     * As the provider said, or null while that is not known.
     */
    actual: number | null;
    currency: Currency;
}
/**
 * Where to go from here.
 */
export interface JobLinks3 {
    /**
     * This.
     */
    self: string;
    /**
     * The stream.
     */
    events: string;
    /**
     * POST.
     */
    cancel: string;
    /**
     * POST.
     */
    retry: string;
}
/**
 * Everybody's try-ons.
 */
export interface TryonPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Tryon[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A try-on to be made: with files, or ids of media, or both.
 */
export interface TryonWish {
    /**
     * A name of GET /admin/categories.
     */
    category: string;
    /**
     * What more to say.
     */
    prompt?: string | null;
    seed?: Seed;
    /**
     * Media that are ready.
     *
     * @maxItems 12
     */
    media?:
        | []
        | [Id]
        | [Id, Id]
        | [Id, Id, Id]
        | [Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id, Id, Id, Id];
    /**
     * Files, in the body.
     *
     * @maxItems 12
     */
    medias?:
        | []
        | [TryonFile]
        | [TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile]
        | [TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile, TryonFile];
}
/**
 * A picture or film.
 */
export interface TryonFile {
    /**
     * The bytes in base64.
     */
    data: string;
    /**
     * image/… or video/….
     */
    mimetype: string;
    /**
     * Its name.
     */
    filename?: string;
}
/**
 * The same as a form: fields category, prompt, seed, media (once each id), and files.
 */
export interface TryonForm {
    /**
     * What it is of.
     */
    category: string;
    /**
     * What more to say.
     */
    prompt?: string;
    /**
     * A number.
     */
    seed?: string;
    /**
     * Media that are ready.
     */
    media?: Id[];
    /**
     * Files.
     *
     * Items: A file.
     */
    medias?: Blob[];
}
/**
 * A project to make.
 */
export interface ProjectWish {
    /**
     * Its name.
     */
    name: string;
    /**
     * What its owner says of it.
     */
    description?: string;
    /**
     * Its originals: pictures that were sent in and are ready.
     *
     * @maxItems 100
     */
    media?: Id[];
}
/**
 * What is left out stays.
 */
export interface ProjectChange {
    /**
     * Its name.
     */
    name?: string;
    /**
     * What its owner says of it.
     */
    description?: string;
    /**
     * All of its originals; one with images cannot be left out.
     *
     * @maxItems 100
     */
    media?: Id[];
}
/**
 * How many images a project has.
 */
export interface ProjectImages {
    /**
     * All of them.
     */
    total: number;
    /**
     * Those that have not ended.
     */
    active: number;
    /**
     * Those that are done.
     */
    completed: number;
}
/**
 * Where to go from a project.
 */
export interface ProjectLinks {
    /**
     * This.
     */
    self: string;
    /**
     * Its images.
     */
    images: string;
    /**
     * Where all of its pictures are staged.
     */
    stage: string;
    /**
     * All of it in one file.
     */
    download: string;
}
/**
 * Pictures that belong together, and what was made of them.
 */
export interface Project {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Its name.
     */
    name: string;
    /**
     * What its owner says of it.
     */
    description: string;
    /**
     * Its originals, in their order.
     */
    pictures: Media[];
    images: ProjectImages1;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * RFC 3339, in UTC.
     */
    updated_at: string;
    links: ProjectLinks1;
}
/**
 * How many images there are.
 */
export interface ProjectImages1 {
    /**
     * All of them.
     */
    total: number;
    /**
     * Those that have not ended.
     */
    active: number;
    /**
     * Those that are done.
     */
    completed: number;
}
/**
 * Where to go from here.
 */
export interface ProjectLinks1 {
    /**
     * This.
     */
    self: string;
    /**
     * Its images.
     */
    images: string;
    /**
     * Where all of its pictures are staged.
     */
    stage: string;
    /**
     * All of it in one file.
     */
    download: string;
}
/**
 * Projects of the account.
 */
export interface ProjectPage {
    /**
     * Newest first.
     */
    items: Project[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * How all pictures of a project are to be staged.
 */
export interface StagingWish {
    /**
     * stage where it is left out.
     */
    mode?: 'stage' | 'declutter' | 'restyle';
    /**
     * A name of GET /images/options; auto says nothing of it.
     */
    room_type?: string;
    /**
     * A name of GET /images/options, an alias or a former name; needed but for declutter.
     */
    style?: string | null;
    /**
     * What else is wanted, at most 2,000 bytes.
     */
    prompt?: string;
    /**
     * A whole number from 0 to 2^63-1, as a number or a string.
     */
    seed?: number | string | null;
    /**
     * How many results.
     */
    variations?: number;
    /**
     * What the label on the results says; left out: the usual words.
     */
    disclosure?: string | null;
    /**
     * Who stages; left out: the default.
     */
    model?: string | null;
}
/**
 * A picture that was left out, since an image of it has not ended.
 */
export interface SkippedPicture {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    media_id: string;
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    image_id: string;
}
/**
 * What was made of the pictures of a project.
 */
export interface StagedProject {
    /**
     * One for each picture that was staged.
     */
    items: Image[];
    /**
     * Those that were left out.
     */
    skipped: SkippedPicture[];
}
/**
 * An image: a Job of virtual staging. media is its original, outputs are its variations.
 */
export interface Image {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Which product asked for it.
     */
    kind: 'staging';
    /**
     * What comes out; null of pipelines that make no media.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * Where it is; completed, failed and cancelled are final.
     */
    state: 'queued' | 'running' | 'cancelling' | 'held' | 'completed' | 'failed' | 'cancelled';
    /**
     * The whole prompt that the model is given.
     */
    prompt: string;
    /**
     * Who stages.
     */
    model: string;
    /**
     * Parameters of the model, with the defaults filled in; see params_schema of the model.
     */
    params: {
        [k: string]: unknown;
    };
    /**
     * The seed, as a decimal string, since it may be above 2^53; null of what has none.
     */
    seed: string | null;
    progress: JobAdvance4;
    /**
     * 1 is next; exact up to 1,000, then null, as it is when the job does not wait.
     */
    queue_position: number | null;
    /**
     * How often a stage of it was begun.
     */
    attempts: number;
    cost: Cost4;
    /**
     * Why it failed or is held, or null.
     */
    error: JobFailure | null;
    /**
     * What it works on.
     */
    media: Media[];
    /**
     * What it made.
     */
    outputs: Media[];
    /**
     * The first output, signed; null while there is none.
     */
    result_url: MediaUrl | null;
    /**
     * The job that this one repeats or varies, or null.
     */
    parent_id: Id | null;
    /**
     * Grows with every change of state; events carry it too.
     */
    version: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * When a runner first had it, or null.
     */
    started_at: Time | null;
    /**
     * When it ended, or null.
     */
    finished_at: Time | null;
    links: JobLinks4;
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    project_id: string;
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    media_id: string;
    /**
     * What is done.
     */
    mode: 'stage' | 'declutter' | 'restyle';
    /**
     * The type of the room.
     */
    room_type: string;
    /**
     * The style that counts; null where declutter was asked for without one.
     */
    style: string | null;
    /**
     * The name that was asked for.
     */
    style_asked: string | null;
    /**
     * Whether that name is a former one: style says what took its place.
     */
    style_is_deprecated: boolean;
    /**
     * How many results were asked for.
     */
    variations: number;
    /**
     * What the label says; null: the usual words.
     */
    disclosure: string | null;
    /**
     * The words of the request.
     */
    user_prompt: string;
    /**
     * Why it was asked for again, or null.
     */
    reason: string | null;
    versions: StagingVersions;
}
/**
 * How far it is.
 */
export interface JobAdvance4 {
    /**
     * Of the whole job.
     */
    fraction: number;
    /**
     * The stage at work, from 1.
     */
    stage: number;
    /**
     * How many there are.
     */
    stages: number;
    /**
     * What is being done.
     */
    label: string | null;
}
/**
 * What it costs.
 */
export interface Cost4 {
    /**
     * Before it ran.
     */
    estimated: number | null;
    /**
     * As the provider said, or null while that is not known.
     */
    actual: number | null;
    currency: Currency;
}
/**
 * Where to go from here.
 */
export interface JobLinks4 {
    /**
     * This.
     */
    self: string;
    /**
     * The stream.
     */
    events: string;
    /**
     * POST.
     */
    cancel: string;
    /**
     * POST.
     */
    retry: string;
}
/**
 * Of what made it.
 */
export interface StagingVersions {
    /**
     * Of the pipeline.
     */
    pipeline: number;
    /**
     * Of the parts of the prompt.
     */
    prompt: number;
    /**
     * Of the words of the style.
     */
    style: number | null;
}
/**
 * A picture to stage.
 */
export interface ImageWish {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    project_id: string;
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    media_id: string;
    /**
     * stage where it is left out.
     */
    mode?: 'stage' | 'declutter' | 'restyle';
    /**
     * A name of GET /images/options; auto says nothing of it.
     */
    room_type: string;
    /**
     * A name of GET /images/options, an alias or a former name; needed but for declutter.
     */
    style?: string | null;
    /**
     * What else is wanted, at most 2,000 bytes.
     */
    prompt?: string;
    /**
     * A whole number from 0 to 2^63-1, as a number or a string.
     */
    seed?: number | string | null;
    /**
     * How many results.
     */
    variations?: number;
    /**
     * What the label on the results says; left out: the usual words.
     */
    disclosure?: string | null;
    /**
     * Who stages; left out: the default.
     */
    model?: string | null;
}
/**
 * Which versions made an image.
 */
export interface StagingVersions1 {
    /**
     * Of the pipeline.
     */
    pipeline: number;
    /**
     * Of the parts of the prompt.
     */
    prompt: number;
    /**
     * Of the words of the style.
     */
    style: number | null;
}
/**
 * Images of the account.
 */
export interface ImagePage {
    /**
     * Newest first.
     */
    items: Image[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A type of room.
 */
export interface RoomType {
    /**
     * As requests name it.
     */
    name: string;
    /**
     * Its name for people.
     */
    title: string;
}
/**
 * A style.
 */
export interface StagingStyle {
    /**
     * As requests name it.
     */
    name: string;
    /**
     * Its name for people.
     */
    title: string;
    /**
     * Other names of it.
     */
    aliases: string[];
}
/**
 * Who stages.
 */
export interface StagingModel {
    /**
     * As requests name it.
     */
    name: string;
    /**
     * Its name for people.
     */
    title: string;
    /**
     * What it does.
     */
    description: string;
    /**
     * How many results at most.
     */
    max_variations: number;
    /**
     * Of one variation, in millionths of the currency.
     */
    price: number;
    /**
     * ISO 4217.
     */
    currency: string;
    /**
     * Whether it is taken where none is named.
     */
    is_default: boolean;
    /**
     * Why it cannot be used now, or null.
     */
    unavailable_reason: string | null;
}
/**
 * What may be asked for.
 */
export interface StagingOptions {
    /**
     * What can be done.
     */
    modes: StagingMode[];
    /**
     * Rooms.
     */
    room_types: RoomType[];
    /**
     * Styles; former names are left out, and still taken.
     */
    styles: StagingStyle[];
    /**
     * Who stages, the default first.
     */
    models: StagingModel[];
}
/**
 * A file that is to come.
 */
export interface UploadWish {
    /**
     * Its name.
     */
    filename: string;
    /**
     * What it is: image/png, image/jpeg, image/webp, image/gif, image/heic, image/avif, video/mp4, video/webm, video/quicktime, audio/mpeg, audio/wav, audio/ogg, audio/mp4 or audio/webm; in any letters, with parameters (;codecs=opus) and under the other names that browsers and recorders have for these (image/jpg, image/heif, audio/x-wav, audio/mp3, audio/x-m4a). HEIC and AVIF are ready as image/jpeg, or image/png where a part is see-through.
     */
    content_type: string;
    /**
     * Its size.
     */
    bytes: number;
    /**
     * The MD5 of the bytes in base64.
     */
    md5?: string | null;
}
/**
 * Where to send it.
 */
export interface UploadPlace {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    media_id: string;
    /**
     * How.
     */
    method: 'PUT';
    /**
     * Where: a path here, or a URL of the bucket. Binds size and type.
     */
    url: string;
    /**
     * To be sent along, to the letter.
     */
    headers: {
        /**
         * The type that was announced.
         */
        'Content-Type': string;
        /**
         * The MD5 that was announced.
         */
        'Content-MD5'?: string;
        /**
         * The size.
         */
        'Content-Length'?: string;
    };
    /**
     * RFC 3339, in UTC.
     */
    expires_at: string;
}
/**
 * A public page to be made.
 */
export interface ShareWish {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    job_id: string;
    /**
     * A time to come, RFC 3339; null or absent: until it is taken back.
     */
    expires_at?: string | null;
}
/**
 * A public page with its address, the only time it is shown.
 */
export interface NewShare {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    job_id: string;
    /**
     * Whether its page is there now.
     */
    is_open: boolean;
    /**
     * Until when it is there; null: until it is taken back.
     */
    expires_at: Time | null;
    /**
     * When it was taken back, or null.
     */
    revoked_at: Time | null;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * Where it is; a path where no public URL is set.
     */
    url: string;
}
/**
 * A link to be made.
 */
export interface InviteWish {
    /**
     * Into this group; absent: to oneself.
     */
    conversation_id?: Id | null;
    /**
     * So long it holds.
     */
    expires_in_s?: number;
}
/**
 * A link; its token is shown once.
 */
export interface NewInvite {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * What the link holds.
     */
    token: string;
    /**
     * A path of the web pages.
     */
    link: string;
    /**
     * The group, or null.
     */
    conversation_id: Id | null;
    /**
     * RFC 3339, in UTC.
     */
    expires_at: string;
}
/**
 * What a link holds.
 */
export interface InviteToken {
    /**
     * The token.
     */
    token: string;
}
/**
 * Who invites, and where to.
 */
export interface InviteFound {
    /**
     * The name of the provider.
     */
    from: Person;
    /**
     * Into which group, or null.
     */
    conversation_id: Id | null;
    /**
     * RFC 3339, in UTC.
     */
    expires_at: string;
}
/**
 * Whether somebody is online.
 */
export interface PresenceState {
    /**
     * online: has a stream open.
     */
    state: 'online' | 'offline';
    /**
     * When the last one ended; null of who is online.
     */
    last_seen_at: Time | null;
}
/**
 * A conversation, as one of its members sees it.
 */
export interface Conversation {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * False: of two.
     */
    is_group: boolean;
    /**
     * A group's, or null.
     */
    title: string | null;
    /**
     * Who made it.
     */
    made_by: Id | null;
    /**
     * Of two: the other; else null.
     */
    with: Person | null;
    /**
     * Of two: the other's; null of groups, and where one of the two hides it.
     */
    presence: PresenceState | null;
    /**
     * True: one has left, and sees what was said till then.
     */
    has_left: boolean;
    /**
     * The number of the last message that one may see; 0: there is none.
     */
    last_number: number;
    /**
     * It, or null.
     */
    last_message: Message | null;
    /**
     * Up to which one's devices have all.
     */
    delivered_number: number;
    /**
     * Up to which one has read.
     */
    read_number: number;
    /**
     * How many are unread, exactly.
     */
    unread: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * The one with the latest message first.
 */
export interface ConversationPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Conversation[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * With one other (account_id), or a new group (members).
 */
export interface ConversationWish {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    account_id?: string;
    /**
     * The others.
     *
     * @maxItems 255
     */
    members?: Id[];
    /**
     * Of a group.
     */
    title?: string | null;
}
/**
 * Somebody in a conversation.
 */
export interface Member {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * The name it is found by, or null.
     */
    handle: string | null;
    /**
     * What it is called, or null.
     */
    display_name: string | null;
    /**
     * Whether it made the conversation.
     */
    is_maker: boolean;
    /**
     * Up to which it has all.
     */
    delivered_number: number;
    /**
     * Up to which it has read.
     */
    read_number: number;
    /**
     * Whether it is online; null where one of the two hides it.
     */
    presence: PresenceState | null;
    /**
     * RFC 3339, in UTC.
     */
    joined_at: string;
}
/**
 * Who is in it, the oldest first.
 */
export interface MemberPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Member[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * Somebody.
 */
export interface AccountRef {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    account_id: string;
}
/**
 * What to say.
 */
export interface MessageWish {
    /**
     * One's own id: the same twice is one message.
     */
    client_id?: string;
    /**
     * At most 16000 bytes; needed unless there is media.
     */
    text?: string | null;
    /**
     * Files of one's own.
     *
     * @maxItems 10
     */
    media?:
        | []
        | [Id]
        | [Id, Id]
        | [Id, Id, Id]
        | [Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | [Id, Id, Id, Id, Id, Id, Id, Id, Id, Id]
        | null;
    /**
     * The message that it answers.
     */
    reply_to?: Id | null;
}
/**
 * What was said.
 */
export interface MessagePage {
    /**
     * Newest first unless said otherwise.
     */
    items: Message[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * What it says now.
 */
export interface MessageChange {
    /**
     * At most 16000 bytes.
     */
    text: string;
}
/**
 * Up to which message.
 */
export interface Mark {
    /**
     * Its number.
     */
    number: number;
}
/**
 * Who is blocked.
 */
export interface BlockMade {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    account_id: string;
}
/**
 * Notifications, and the ends of jobs.
 */
export interface NoticePage {
    /**
     * Newest first.
     */
    items: JobOrNotice[];
    /**
     * Hand it back for more.
     */
    next_cursor: string | null;
    /**
     * Unread notifications.
     */
    unread: number;
    /**
     * Unread ends of jobs, of the last 500 events.
     */
    unread_jobs: number;
}
/**
 * A notification, or the end of a job.
 */
export interface JobOrNotice {
    /**
     * Its id; job-… of a job's end.
     */
    id: string;
    /**
     * A word for clients; job.completed, job.failed or job.held of a job.
     */
    kind: string;
    /**
     * What it says.
     */
    text: string;
    /**
     * Where it leads.
     */
    link: string | null;
    /**
     * The job, or null.
     */
    job_id: Id | null;
    /**
     * The conversation, or null.
     */
    conversation_id: Id | null;
    /**
     * When it was read, or null.
     */
    read_at: Time | null;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * What is still unread.
 */
export interface Unread {
    /**
     * Notifications.
     */
    unread: number;
    /**
     * Ends of jobs.
     */
    unread_jobs: number;
}
/**
 * Which.
 */
export interface ReadWish {
    /**
     * These.
     *
     * @maxItems 100
     *
     * Items: Of GET /notifications.
     */
    ids?: string[];
    /**
     * All of them.
     */
    all?: boolean;
}
/**
 * What to tell, and whom: account_id, or all.
 */
export interface AnnouncementWish {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    account_id?: string;
    /**
     * Everybody.
     */
    all?: boolean;
    /**
     * A word for clients.
     */
    kind?: string;
    /**
     * What it says.
     */
    text: string;
    /**
     * A path here, or an https URL.
     */
    link?: string | null;
}
/**
 * What was told.
 */
export interface Announcement {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Whom; null: everybody.
     */
    account_id: Id | null;
    /**
     * A word for clients.
     */
    kind: string;
    /**
     * What it says.
     */
    text: string;
    /**
     * Where it leads.
     */
    link: string | null;
    /**
     * How many were told.
     */
    recipients: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
}
/**
 * Opens streams, for who cannot send a header.
 */
export interface Ticket {
    /**
     * Goes into ?ticket=.
     */
    ticket: string;
    /**
     * RFC 3339, in UTC.
     */
    expires_at: string;
}
/**
 * Events since a position.
 */
export interface EventBatch {
    /**
     * In the order of the log.
     *
     * @maxItems 101
     */
    events: KilnEvent[];
    /**
     * Hand it back as after=.
     */
    position: string;
}
/**
 * It was taken in.
 */
export interface WebhookTaken {
    /**
     * Always.
     */
    received: true;
    /**
     * Whether there is such a call.
     */
    known: boolean;
}
/**
 * Why a job waits for a person.
 */
export interface Held {
    /**
     * Where it stands.
     */
    stage: string;
    /**
     * A word: unknown, timeout, lost, poison, operator.
     */
    reason: string | null;
    /**
     * A sentence.
     */
    message: string | null;
    /**
     * Since when.
     */
    since: Time | null;
    /**
     * Whom it asked last.
     */
    provider: string | null;
    /**
     * The provider's id of it.
     */
    request_id: string | null;
    /**
     * The call.
     */
    call_id: Id | null;
    /**
     * Until then resend and fail are refused.
     */
    resend_after: Time | null;
}
/**
 * A job, as administrators see it.
 */
export interface AdminJob {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * Which product asked for it.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload';
    /**
     * What comes out; null of pipelines that make no media.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * Where it is; completed, failed and cancelled are final.
     */
    state: 'queued' | 'running' | 'cancelling' | 'held' | 'completed' | 'failed' | 'cancelled';
    /**
     * What was asked for.
     */
    prompt: string | null;
    /**
     * The model of the catalogue, or null: a pipeline of several.
     */
    model: string | null;
    /**
     * Parameters of the model, with the defaults filled in; see params_schema of the model.
     */
    params: {
        [k: string]: unknown;
    };
    /**
     * The seed, as a decimal string, since it may be above 2^53; null of what has none.
     */
    seed: string | null;
    progress: JobAdvance5;
    /**
     * 1 is next; exact up to 1,000, then null, as it is when the job does not wait.
     */
    queue_position: number | null;
    /**
     * How often a stage of it was begun.
     */
    attempts: number;
    cost: Cost5;
    /**
     * Why it failed or is held, or null.
     */
    error: JobFailure | null;
    /**
     * What it works on.
     */
    media: Media[];
    /**
     * What it made.
     */
    outputs: Media[];
    /**
     * The first output, signed; null while there is none.
     */
    result_url: MediaUrl | null;
    /**
     * The job that this one repeats or varies, or null.
     */
    parent_id: Id | null;
    /**
     * Grows with every change of state; events carry it too.
     */
    version: number;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * When a runner first had it, or null.
     */
    started_at: Time | null;
    /**
     * When it ended, or null.
     */
    finished_at: Time | null;
    /**
     * Paths, as far as they would be allowed.
     */
    links: {
        /**
         * POST.
         */
        cancel?: string;
        /**
         * POST.
         */
        retry?: string;
        /**
         * POST.
         */
        resolve?: string;
    };
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    account_id: string;
    /**
     * Why it waits for a person, or null.
     */
    held: Held | null;
    /**
     * What may be done now.
     *
     * Items: What may be done.
     */
    actions: ('cancel' | 'fetch' | 'resend' | 'fail' | 'adopt' | 'retry')[];
}
/**
 * How far it is.
 */
export interface JobAdvance5 {
    /**
     * Of the whole job.
     */
    fraction: number;
    /**
     * The stage at work, from 1.
     */
    stage: number;
    /**
     * How many there are.
     */
    stages: number;
    /**
     * What is being done.
     */
    label: string | null;
}
/**
 * What it costs.
 */
export interface Cost5 {
    /**
     * Before it ran.
     */
    estimated: number | null;
    /**
     * As the provider said, or null while that is not known.
     */
    actual: number | null;
    currency: Currency;
}
/**
 * Everybody's jobs.
 */
export interface AdminJobPage {
    /**
     * Newest first unless said otherwise.
     */
    items: AdminJob[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A person's word about a held job.
 */
export interface Resolution {
    /**
     * fetch: ask for the paid result again; resend: make the call again, which may be paid twice; fail: it did not work; adopt: this is its result.
     */
    action: 'fetch' | 'resend' | 'fail' | 'adopt';
    /**
     * Why; is written down.
     */
    reason: string;
    /**
     * adopt: the result.
     */
    output?: {
        [k: string]: unknown;
    };
    /**
     * adopt: the provider's id of it.
     */
    request_id?: string;
}
/**
 * An account, as administrators see it.
 */
export interface AdminAccount {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * The name it is found by, or null.
     */
    handle: string | null;
    /**
     * What it is called, or null.
     */
    display_name: string | null;
    /**
     * Where mail goes, or null.
     */
    email: string | null;
    /**
     * Whether the link that was mailed there was opened; false: nothing else is mailed.
     */
    email_verified: boolean;
    /**
     * Whether it wants mail.
     */
    notify_email: boolean;
    /**
     * Whether others see when it is online, and it them.
     */
    show_presence: boolean;
    /**
     * What it may do.
     */
    role: 'user' | 'admin';
    /**
     * True: every call is refused.
     */
    is_suspended: boolean;
    /**
     * Null: there are no plans yet.
     */
    plan: null;
    balance: Balance;
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * When it was deleted, or null.
     */
    deleted_at: Time | null;
    /**
     * The ways into it.
     */
    identities: Identity[];
}
/**
 * Accounts.
 */
export interface AdminAccountPage {
    /**
     * Newest first unless said otherwise.
     */
    items: AdminAccount[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * What it may do.
 */
export interface RoleWish {
    role: Role;
    /**
     * Why; is written down.
     */
    reason?: string;
}
/**
 * Why.
 */
export interface ReasonWish {
    /**
     * Is written down.
     */
    reason?: string;
}
/**
 * Credit.
 */
export interface GrantWish {
    /**
     * In millionths; negative takes back.
     */
    amount: number;
    /**
     * Is written down.
     */
    reason: string;
}
/**
 * A provider and its health.
 */
export interface Provider {
    /**
     * It.
     */
    name: string;
    /**
     * What it is.
     */
    description: string | null;
    /**
     * False: no calls.
     */
    is_enabled: boolean;
    /**
     * True: programs of this machine.
     */
    is_local: boolean;
    /**
     * May calls go?
     */
    health: 'ok' | 'off' | 'broken' | 'trying' | 'paused';
    /**
     * Until when not.
     */
    until: Time | null;
    /**
     * Why it is paused.
     */
    why: string | null;
    /**
     * Calls at work.
     */
    calls: {
        /**
         * May have been sent.
         */
        open: number;
        /**
         * The provider has them.
         */
        accepted: number;
        /**
         * Nobody can tell.
         */
        unknown: number;
        /**
         * So many at once.
         */
        max: number | null;
    };
    /**
     * Its rate, or null.
     */
    rate: {
        /**
         * Calls a minute.
         */
        per_minute: number;
        /**
         * At once.
         */
        burst: number | null;
    } | null;
    /**
     * Tasks that wait, by why.
     */
    deferred: {
        [k: string]: number;
    };
    /**
     * The last minutes.
     */
    recent: {
        /**
         * Answers.
         */
        replies: number;
        /**
         * Half were quicker.
         */
        p50_ms: number | null;
        /**
         * Nineteen of twenty were quicker.
         */
        p95_ms: number | null;
        /**
         * 429.
         */
        rate_limited: number;
        /**
         * 5xx.
         */
        server_errors: number;
        /**
         * No answer.
         */
        lost: number;
    };
    /**
     * Money since midnight UTC.
     */
    today: {
        /**
         * In millionths.
         */
        spent: number;
        /**
         * No more than this.
         */
        cap: number | null;
        currency: Currency;
    };
    /**
     * Its key, or null: it needs none.
     */
    secret: {
        /**
         * The variable.
         */
        env: string;
        /**
         * Runners that have it.
         */
        runners: number;
    } | null;
}
/**
 * All of them.
 */
export interface ProviderPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Provider[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A queue.
 */
export interface Queue {
    /**
     * It.
     */
    name: string;
    /**
     * What it is for.
     */
    description: string | null;
    /**
     * True: nothing new starts.
     */
    is_paused: boolean;
    /**
     * Tasks that could start.
     */
    ready: number;
    /**
     * Tasks that are due later.
     */
    waiting: number;
    /**
     * Tasks at work.
     */
    running: number;
    /**
     * Tasks that wait for a person.
     */
    held: number;
    /**
     * Who serves it.
     */
    runners: number;
    /**
     * How long the oldest has been ready.
     */
    oldest_s: number | null;
    /**
     * So many at once.
     */
    max_running: number | null;
    /**
     * So many a minute.
     */
    rate_per_minute: number | null;
}
/**
 * All of them.
 */
export interface QueuePage {
    /**
     * Newest first unless said otherwise.
     */
    items: Queue[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A runner.
 */
export interface Runner {
    /**
     * An id: a decimal number as a string, opaque to clients.
     */
    id: string;
    /**
     * What the operator calls it.
     */
    name: string;
    /**
     * alive; silent: beats are late; left: by itself; expired: its lease ended.
     */
    state: 'alive' | 'silent' | 'left' | 'expired';
    /**
     * Since the last beat.
     */
    beat_s: number | null;
    /**
     * Tasks it has.
     */
    running: number;
    /**
     * Tasks it can have.
     */
    slots: number;
    /**
     * Which queues it serves.
     */
    queues: string[] | null;
    /**
     * What keeps its tools from the machine; null: it did not say.
     */
    sandbox: 'landlock' | 'bubblewrap' | 'none' | null;
}
/**
 * Runners, the newest first.
 */
export interface RunnerPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Runner[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * A stage of a pipeline.
 */
export interface Stage {
    /**
     * It.
     */
    name: string;
    /**
     * Who carries it out: http, media, exec …
     */
    handler: string;
    /**
     * What the handler needs.
     */
    config: {
        [k: string]: unknown;
    };
    /**
     * Where it waits.
     */
    queue: string;
    /**
     * It may take so long.
     */
    time_limit_s: number;
    /**
     * So often.
     */
    max_attempts: number;
    /**
     * The first pause between attempts.
     */
    backoff_base_s: number;
    /**
     * The longest.
     */
    backoff_cap_s: number;
}
/**
 * A stage to be.
 */
export interface StageWish {
    /**
     * It.
     */
    name: string;
    /**
     * Who carries it out: http, media, exec …
     */
    handler: string;
    /**
     * What the handler needs.
     */
    config?: {
        [k: string]: unknown;
    };
    /**
     * Where it waits.
     */
    queue: string;
    /**
     * It may take so long.
     */
    time_limit_s?: number;
    /**
     * So often.
     */
    max_attempts?: number;
    /**
     * The first pause between attempts.
     */
    backoff_base_s?: number;
    /**
     * The longest.
     */
    backoff_cap_s?: number;
}
/**
 * A pipeline in one of its versions.
 */
export interface Pipeline {
    /**
     * It.
     */
    name: string;
    /**
     * What it makes.
     */
    description: string | null;
    /**
     * This version.
     */
    version: number;
    /**
     * All there are, newest first.
     */
    versions: number[];
    /**
     * RFC 3339, in UTC.
     */
    created_at: string;
    /**
     * In order.
     */
    stages: Stage[] | null;
}
/**
 * All of them, by name.
 */
export interface PipelinePage {
    /**
     * Newest first unless said otherwise.
     */
    items: Pipeline[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * The next version of a pipeline.
 */
export interface PipelineWish {
    /**
     * Small letters, digits and . _ / -.
     */
    name: string;
    /**
     * What it makes.
     */
    description?: string;
    /**
     * The version that was read: refused when there is a newer one.
     */
    version?: number;
    /**
     * In order.
     *
     * @minItems 1
     * @maxItems 99
     */
    stages: [StageWish, ...StageWish[]];
}
/**
 * What try-ons may be of.
 */
export interface Category {
    /**
     * It.
     */
    name: string;
    /**
     * For people.
     */
    title: string;
    /**
     * What it is.
     */
    description: string;
    media_type: MediaType;
    /**
     * The pipeline it takes.
     */
    pipeline: string;
    /**
     * Of that version; null: the newest.
     */
    version: number | null;
    /**
     * Goes before the prompt of the request.
     */
    prompt: string;
    /**
     * Parameters of its stages.
     */
    params: {
        [k: string]: unknown;
    };
    /**
     * In millionths.
     */
    price: number;
    currency: Currency;
    /**
     * False: is refused.
     */
    is_enabled: boolean;
    /**
     * Why it cannot be used now, or null.
     */
    unavailable_reason: string | null;
}
/**
 * All of them, by name.
 */
export interface CategoryPage {
    /**
     * Newest first unless said otherwise.
     */
    items: Category[];
    /**
     * Hand it back as cursor= for what comes next; null: there is no more.
     */
    next_cursor: string | null;
}
/**
 * What is to change; a new one needs pipeline and media_type.
 */
export interface CategoryWish {
    /**
     * For people.
     */
    title?: string;
    /**
     * What it is.
     */
    description?: string;
    media_type?: MediaType;
    /**
     * The pipeline it takes.
     */
    pipeline?: string;
    /**
     * Of that version; null: the newest.
     */
    version?: number | null;
    /**
     * Goes before the prompt of the request; at most 4000 bytes.
     */
    prompt?: string;
    /**
     * Parameters of its stages.
     */
    params?: {
        [k: string]: unknown;
    };
    /**
     * In millionths.
     */
    price?: number;
    /**
     * Taken or refused.
     */
    is_enabled?: boolean;
}
/**
 * It lives.
 */
export interface Health {
    /**
     * Always.
     */
    status: 'ok';
    /**
     * The release of the server.
     */
    version: string;
}
/**
 * It can do its work.
 */
export interface Readiness {
    /**
     * Always; who is not ready answers 503.
     */
    ready: true;
    /**
     * What was looked at.
     */
    checks: {
        /**
         * It answers.
         */
        database: 'ok';
        /**
         * The version of the functions between server and database.
         */
        contract: string;
        /**
         * How many are alive.
         */
        runners: number;
        /**
         * ok, or a warning: runners alive whose tools have no sandbox.
         */
        sandbox: string;
        /**
         * Whether a failover may forget what was paid.
         */
        synchronous_standby: string;
    };
}

/** What each operation takes (once: the Idempotency-Key) and gives. */
export interface Operations {
    /**
     * POST /api/v1/auth/nonce: Create a sign-in nonce.
     *
     * The nonce goes into the EIP-4361 message that a wallet signs. It is valid for ten minutes and for one sign-in. Anyone may ask; 429 limits the requests of one address.
     */
    create_nonce: { takes: {}; gives: Nonce };
    /**
     * POST /api/v1/auth/siwe: Sign in with a wallet.
     *
     * The body is an EIP-4361 message and its signature. The answer holds a token, valid for a day, and the account, which is created at the first sign-in. A wrong message or signature is 422 with the reason. A nonce works once; a wrong signature does not use it up. A suspended account is 401. Contract wallets (EIP-1271) are not accepted.
     */
    sign_in: { takes: { body: WalletProof }; gives: Session };
    /**
     * GET /api/v1/me: Get the profile.
     *
     * The profile includes the role, the balance, and whether the email address is confirmed. The first call with a new token creates the account. Scope: `read`.
     */
    get_me: { takes: {}; gives: Account };
    /**
     * PATCH /api/v1/me: Change the profile.
     *
     * Fields that are left out stay as they are; null clears a text. A handle is unique, 3 to 30 of `a-z`, `0-9` and `_`. A new `email` is mailed a confirmation link and receives nothing else until the link is used. A change of `email` or `notify_email` needs the scope `read` as well. Scope: `account`.
     */
    update_me: { takes: { body: AccountChange }; gives: Account };
    /**
     * DELETE /api/v1/me: Delete the account.
     *
     * Access ends at once: tokens and API keys are refused and streams close. Waiting jobs are cancelled; running jobs are cancelled and removed when they have ended. Messages stay with their readers under an account without a name, and the ledger stays. The deletion cannot be undone. Scopes: none suffices; a person has to sign in.
     */
    delete_me: { takes: {}; gives: undefined };
    /**
     * GET /api/v1/me/export: Export the data of the account.
     *
     * The export holds the profile, the identities, and what the account made, wrote, received and paid. Each section has at most 500 items; a `next_cursor` that is not null continues it with `section` and `cursor`. Secrets, tokens and messages of others are not included. Scopes: `read`, `account`.
     */
    export_me: { takes: { query?: { section?: 'generations' | 'projects' | 'media' | 'messages' | 'notifications' | 'ledger' | 'shares' | 'api_keys' | 'webhook_endpoints' | 'blocks' | 'invites' | 'conversations'; cursor?: string } }; gives: Export };
    /**
     * POST /api/v1/me/email/confirmation: Send the email confirmation again.
     *
     * A confirmed address is mailed nothing. 409 means that there is no address, that this installation sends no mail, or that the recipient has unsubscribed. 429 means that the confirmations of the day are used up; three are allowed. Scope: `account`.
     */
    send_confirmation: { takes: {}; gives: Account };
    /**
     * POST /api/v1/me/sign-out-everywhere: Sign out everywhere.
     *
     * Tokens issued before this moment are refused, the token of this request included. Stream tickets are forgotten, and all streams of the account close. API keys stay valid. Scopes: none suffices; a person has to sign in.
     */
    sign_out_everywhere: { takes: {}; gives: SignedOut };
    /**
     * GET /api/v1/me/identities: List identities.
     *
     * Identities are the wallets and token subjects that lead to the account. The list is newest first. Scope: `account`.
     */
    list_identities: { takes: { query?: { limit?: number; cursor?: string } }; gives: IdentityPage };
    /**
     * POST /api/v1/me/identities: Link an identity.
     *
     * The body proves the identity: `message` and `signature` of a wallet with a fresh nonce, or a `token` of the other identity. 409 means that the identity leads to another account. A repeat with the same Idempotency-Key gets the same answer, although the nonce is used up. Scopes: none suffices; a person has to sign in.
     */
    create_identity: { takes: { body: WalletProof | TokenProof; once?: string }; gives: Identity };
    /**
     * DELETE /api/v1/me/identities/{id}: Unlink an identity.
     *
     * Tokens of the identity are refused at once. The last identity of an account stays: 409. API keys do not count as identities. Scopes: none suffices; a person has to sign in.
     */
    delete_identity: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/api-keys: Create an API key.
     *
     * The answer is the only one that contains the key. `scopes` lists what the key may do; no scope includes another, and a key cannot create one with scopes that it lacks. An account has at most 100 keys. A repeat with the same Idempotency-Key is 409 `already_created` with the id, since the key is not shown twice. Scope: `account`.
     */
    create_api_key: { takes: { body: ApiKeyWish; once?: string }; gives: NewApiKey };
    /**
     * GET /api/v1/api-keys: List API keys.
     *
     * The list shows name, scopes and last use, exact to the minute. The list is newest first. Scope: `account`.
     */
    list_api_keys: { takes: { query?: { limit?: number; cursor?: string } }; gives: ApiKeyPage };
    /**
     * DELETE /api/v1/api-keys/{id}: Revoke an API key.
     *
     * The key is refused from the next request on, on every server. Its stream tickets end, and the streams of the account reconnect. Scope: `account`.
     */
    delete_api_key: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/webhook-endpoints: Create a webhook endpoint.
     *
     * Events of the chosen `types` are posted to `url`, at least once each and always under the same `webhook-id`. The URL is https with a public domain name; others are 422. The secret signs deliveries and is shown once. A repeat with the same Idempotency-Key is 409 `already_created`. An account has at most 20 endpoints: 409. Scopes: `read`, `account`.
     */
    create_webhook_endpoint: { takes: { body: EndpointWish; once?: string }; gives: NewEndpoint };
    /**
     * GET /api/v1/webhook-endpoints: List webhook endpoints.
     *
     * An endpoint that is disabled says since when and why. The list is newest first. Scope: `account`.
     */
    list_webhook_endpoints: { takes: { query?: { limit?: number; cursor?: string } }; gives: EndpointPage };
    /**
     * DELETE /api/v1/webhook-endpoints/{id}: Delete a webhook endpoint.
     *
     * Deliveries that wait are dropped with the endpoint. A request that is under way may still arrive. Scope: `account`.
     */
    delete_webhook_endpoint: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/webhook-endpoints/{id}/rotate: Rotate the signing secret.
     *
     * Deliveries carry the signatures of both secrets for one day, so a receiver can change over without a gap. Scope: `account`.
     */
    rotate_webhook_secret: { takes: { path: { id: Id } }; gives: EndpointSecret };
    /**
     * POST /api/v1/webhook-endpoints/{id}/enable: Enable a webhook endpoint.
     *
     * An endpoint is disabled after 20 failures in a row over more than a day, or by an answer of 410. Enabling it sends the events from then on; what was given up can be sent again one by one. Scope: `account`.
     */
    enable_webhook_endpoint: { takes: { path: { id: Id } }; gives: Endpoint };
    /**
     * GET /api/v1/webhook-endpoints/{id}/deliveries: List deliveries of an endpoint.
     *
     * Each attempt shows its status, time and error. The body of a reply is not kept. Deliveries that have ended stay for 30 days. The list is newest first. Scope: `account`.
     */
    list_deliveries: { takes: { path: { id: Id }; query?: { limit?: number; cursor?: string } }; gives: DeliveryPage };
    /**
     * POST /api/v1/deliveries/{id}/resend: Send a delivery again.
     *
     * The delivery is sent once more with the same `webhook-id`. 409 means that its endpoint is disabled. Scope: `account`.
     */
    resend_delivery: { takes: { path: { id: Id } }; gives: Delivery };
    /**
     * GET /api/v1/confirm-email/{token}: Show the page that confirms an address.
     *
     * The page is HTML with one button that posts to the same address. GET changes nothing, since mail scanners follow links.
     */
    ask_to_confirm_email: { takes: { path: { token: string } }; gives: Response };
    /**
     * POST /api/v1/confirm-email/{token}: Confirm an email address.
     *
     * The link is valid for three days and for the address that it was mailed to. A forged or expired link, or one of a former address, is 403. A repeat changes nothing.
     */
    confirm_email: { takes: { path: { token: string }; body?: BodyInit }; gives: Response };
    /**
     * GET /api/v1/unsubscribe/{token}: Show the page that unsubscribes.
     *
     * The page is HTML with one button that posts to the same address. GET changes nothing, since mail scanners follow links.
     */
    ask_to_unsubscribe: { takes: { path: { token: string } }; gives: Response };
    /**
     * POST /api/v1/unsubscribe/{token}: Unsubscribe from mail.
     *
     * The address receives no more mail of this account. Mail programs post here for one-click unsubscription (RFC 8058). A forged link, or one of a former address, is 403. A repeat changes nothing.
     */
    unsubscribe: { takes: { path: { token: string }; body?: BodyInit }; gives: Response };
    /**
     * POST /api/v1/generate: Create a generation.
     *
     * The job starts in the state `queued`, its price is held on the balance, and the answer does not wait for the result. Events follow: `job.queued`, `job.started`, `job.progress`, then `job.completed`, `job.failed` or `job.cancelled`; `job.held` means that a person decides. `variants` creates up to 8 jobs, all or none, with this one as `parent_id`. `params` are checked against the schema of the model; every wrong field is named in a 422. Media have to be `ready`. An Idempotency-Key makes a repeat safe. 429 means too many requests or too many waiting jobs. Scope: `generate`.
     */
    create_generation: { takes: { body: GenerationWish; once?: string }; gives: Job };
    /**
     * POST /api/v1/generate/estimate: Estimate the price of a generation.
     *
     * The body is that of a generation; nothing is created and nothing is held. The price covers all variants. Wrong fields are 422, as for the generation itself. Scope: `read`.
     */
    estimate_generation: { takes: { body: GenerationWish }; gives: Estimate };
    /**
     * GET /api/v1/generations: List generations.
     *
     * The filters `type`, `state` and `q` (a part of the prompt) combine. The list is newest first. With `q` a page looks through at most 10,000 jobs or 8 MB of prompts. It may then be short or empty, and `next_cursor` goes on behind them. Scope: `read`.
     */
    list_generations: { takes: { query?: { type?: MediaType; state?: JobState; q?: string; limit?: number; cursor?: string } }; gives: JobPage };
    /**
     * GET /api/v1/generations/{id}: Get a generation.
     *
     * The job shows its state, progress, cost and, when it is completed, signed links to its outputs. Links expire; a fresh request brings fresh ones. `version` grows with each change of state, so the newer of two answers or events is known. Scope: `read`.
     */
    get_generation: { takes: { path: { id: Id } }; gives: Job };
    /**
     * DELETE /api/v1/generations/{id}: Delete a generation.
     *
     * The job and its media are deleted at once, their files within seconds. 409 means that the job has not ended, or that a paid call of it is not settled. Scope: `generate`.
     */
    delete_generation: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/generations/{id}/cancel: Cancel a generation.
     *
     * A waiting job is `cancelled` at once; a running job is `cancelling` until its runner has stopped. A job that was nearly done may still complete. The event `job.cancelled` follows. Credit that is not used is released. 409 means that the job has ended. Scope: `generate`.
     */
    cancel_generation: { takes: { path: { id: Id } }; gives: Job };
    /**
     * POST /api/v1/generations/{id}/retry: Retry a generation.
     *
     * A new job is created from one that has ended; `parent_id` names that one. `seed` is `same`, `new` or a number; another `prompt` makes a remix. The new job is paid like any other. 409 means that the job has not ended. Scope: `generate`.
     */
    retry_generation: { takes: { path: { id: Id }; body?: RetryWish; once?: string }; gives: Job };
    /**
     * GET /api/v1/models: List models.
     *
     * The catalogue is open to anyone. `q` searches title, name, tags and description. `sort` by `popularity` and `speed` uses figures of the newest jobs, measured each minute.
     */
    list_models: { takes: { query?: { type?: MediaType; q?: string; tag?: string; sort?: 'newest' | 'price' | 'popularity' | 'speed' | 'relevance'; limit?: number; cursor?: string } }; gives: ModelPage };
    /**
     * GET /api/v1/models/{id}: Get a model.
     *
     * The answer holds the JSON Schema of the parameters, the price, and an example that works. A name may contain slashes.
     */
    get_model: { takes: { path: { id: string } }; gives: Model };
    /**
     * POST /api/v1/tryons: Create a try-on.
     *
     * Media come as base64 in JSON (32 MiB at most), as ids of uploads, or as files of a form; 12 at most. The job waits until its files are checked. A file that is rejected ends the job as `cancelled` before a provider is asked. The events are those of a job. Where media are kept in a bucket, files go through a presigned upload. 409 `quota_exceeded` means that the account has no room. Scope: `admin`.
     */
    create_tryon: { takes: { body: TryonWish | FormData; once?: string }; gives: Tryon };
    /**
     * GET /api/v1/tryons: List try-ons.
     *
     * `state` is a state of a job or a group: `pending`, `processed` or `error`. The list has the try-ons of all accounts, newest first. Scope: `admin`.
     */
    list_tryons: { takes: { query?: { state?: 'pending' | 'processed' | 'error' | 'queued' | 'running' | 'cancelling' | 'held' | 'completed' | 'failed' | 'cancelled'; category?: string; limit?: number; cursor?: string } }; gives: TryonPage };
    /**
     * GET /api/v1/tryons/{id}: Get a try-on.
     *
     * The job shows its category, the reason of a retry, and the pipeline with its version. Scope: `admin`.
     */
    get_tryon: { takes: { path: { id: Id } }; gives: Tryon };
    /**
     * POST /api/v1/tryons/{id}/cancel: Cancel a try-on.
     *
     * A waiting try-on is `cancelled` at once; a running one is `cancelling` until its runner has stopped. The event `job.cancelled` follows. 409 means that it has ended. Scope: `admin`.
     */
    cancel_tryon: { takes: { path: { id: Id } }; gives: Tryon };
    /**
     * POST /api/v1/tryons/{id}/retry: Retry a try-on.
     *
     * A new try-on is made as its category works now. The `reason` is kept in the new input and in the history of the old one. A reason without a seed and without another prompt brings a new seed. 409 means that the try-on has not ended. Scope: `admin`.
     */
    retry_tryon: { takes: { path: { id: Id }; body?: RetryWish; once?: string }; gives: Tryon };
    /**
     * POST /api/v1/projects: Create a project.
     *
     * The media become the originals of the project, 100 at most. They are uploads that are `ready`; results are refused with 422, since they carry a label. Scope: `generate`.
     */
    create_project: { takes: { body: ProjectWish; once?: string }; gives: Project };
    /**
     * GET /api/v1/projects: List projects.
     *
     * The list is newest first. Scope: `read`.
     */
    list_projects: { takes: { query?: { limit?: number; cursor?: string } }; gives: ProjectPage };
    /**
     * GET /api/v1/projects/{id}: Get a project.
     *
     * The originals stand in their order. `images` counts the staged images: all, active and completed. Scope: `read`.
     */
    get_project: { takes: { path: { id: Id } }; gives: Project };
    /**
     * PUT /api/v1/projects/{id}: Change a project.
     *
     * Fields that are left out stay. `media` is the whole list of originals in its new order. 409 means that a picture that is to leave has images. Scope: `generate`.
     */
    update_project: { takes: { path: { id: Id }; body: ProjectChange }; gives: Project };
    /**
     * DELETE /api/v1/projects/{id}: Delete a project.
     *
     * The project is gone at once, and its running images are cancelled. Images, originals and files follow when the last job has ended. An original that another project, message or job uses stays. Scope: `generate`.
     */
    delete_project: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/projects/{id}/stage: Stage all pictures of a project.
     *
     * All images are created or none. A picture whose image has not ended is skipped and listed. A repeat with the same Idempotency-Key shows the same images. 409 means that the project has no pictures; wrong fields are 422. The events are those of a job, one series for each image. Scope: `generate`.
     */
    stage_project: { takes: { path: { id: Id }; body: StagingWish; once?: string }; gives: StagedProject };
    /**
     * GET /api/v1/projects/{id}/download: Download a project as a ZIP.
     *
     * The ZIP is made while it is sent, so it has no length and no ranges. 410 means that a file is missing in the store. 429 means that two downloads of the account are under way. Scope: `read`.
     */
    download_project: { takes: { path: { id: Id } }; gives: Response };
    /**
     * GET /api/v1/projects/{id}/images: List images of a project.
     *
     * The list is newest first. Scope: `read`.
     */
    list_project_images: { takes: { path: { id: Id }; query?: { state?: JobState; limit?: number; cursor?: string } }; gives: ImagePage };
    /**
     * POST /api/v1/images: Create a staged image.
     *
     * The image is a job of the kind `staging`; its outputs are the variations, 1 to 4. The picture joins the project. A style may be an alias; the answer has the style that counts. Every result carries a label, and `clean_url` leads the owner to the same without it. The events are those of a job. Scope: `generate`.
     */
    create_image: { takes: { body: ImageWish; once?: string }; gives: Image };
    /**
     * GET /api/v1/images: List images.
     *
     * The list is newest first. An unknown `project` is 404. Scope: `read`.
     */
    list_images: { takes: { query?: { project?: Id; state?: JobState; limit?: number; cursor?: string } }; gives: ImagePage };
    /**
     * GET /api/v1/images/options: Get the staging options.
     *
     * The list is open to anyone. A style keeps its name for good; a style that is renamed becomes an alias.
     */
    get_staging_options: { takes: {}; gives: StagingOptions };
    /**
     * GET /api/v1/images/{id}: Get an image.
     *
     * The job shows its state, its prompt, its seed, the versions that made it, and signed links to its variations. Scope: `read`.
     */
    get_image: { takes: { path: { id: Id } }; gives: Image };
    /**
     * DELETE /api/v1/images/{id}: Delete an image.
     *
     * The results are deleted with their files; the original stays in its project. 409 means that the image has not ended. Scope: `generate`.
     */
    delete_image: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/images/{id}/cancel: Cancel an image.
     *
     * A waiting image is `cancelled` at once; a running one is `cancelling` until its runner has stopped. The event `job.cancelled` follows. 409 means that it has ended. Scope: `generate`.
     */
    cancel_image: { takes: { path: { id: Id } }; gives: Image };
    /**
     * POST /api/v1/images/{id}/retry: Retry an image.
     *
     * A new image of the same original is made, with `parent_id`. `prompt` replaces the words of the old request. 409 means that the image has not ended. Scope: `generate`.
     */
    retry_image: { takes: { path: { id: Id }; body?: RetryWish; once?: string }; gives: Image };
    /**
     * POST /api/v1/uploads/presign: Presign an upload.
     *
     * The answer has a `url` for one PUT of exactly these bytes, valid for an hour, and the `headers` to send. Where media are kept in a bucket, the URL leads past this server. Then `POST /uploads/{id}/complete` starts the check. 409 `quota_exceeded` means that the account has no room. 422 names a content type that is not accepted. Scope: `generate`.
     */
    create_upload: { takes: { body: UploadWish; once?: string }; gives: UploadPlace };
    /**
     * PUT /api/v1/media/{id}: Send the bytes of an upload.
     *
     * The URL of a presigned upload is the permission; no token is needed. A size or MD5 other than announced is 422; another type, or first bytes of another, is 415. A second request for the same upload at the same time is 409. An expired or forged link is 403. Where media are kept in a bucket, the PUT goes to the bucket instead.
     */
    finish_upload: { takes: { path: { id: Id }; query: { exp: string; sig: string }; body: BodyInit }; gives: Media };
    /**
     * GET /api/v1/media/{id}: Get a file.
     *
     * Signed links come with jobs, uploads and messages, and expire on the hour. Ranges and `ETag` work; the content of a link never changes. `variant` selects `thumbnail` or `clean`. Where media are kept in a bucket, the answer is 307 to a presigned URL. 410 means that the file is missing in the store.
     */
    open_media: { takes: { path: { id: Id }; query: { exp: string; sig: string; variant?: 'thumbnail' | 'clean' } }; gives: Response };
    /**
     * POST /api/v1/uploads/{id}/complete: Complete an upload.
     *
     * A job checks the file and stores a clean copy of it. The event `media.ready` or `media.rejected` with its `reason` follows. Only a media that is `ready` can be used. A repeat answers what has become of the upload. 409 means that no bytes have arrived. Scope: `generate`.
     */
    complete_upload: { takes: { path: { id: Id } }; gives: Media };
    /**
     * GET /api/v1/uploads/{id}: Get an upload.
     *
     * The state is `uploading`, `checking`, `ready` or `rejected`, with its reason. Clients without an event stream ask here until it is `ready` or `rejected`. Scope: `read`.
     */
    get_upload: { takes: { path: { id: Id } }; gives: Media };
    /**
     * DELETE /api/v1/uploads/{id}: Delete an upload.
     *
     * The room is free at once; the files go within seconds. 409 means that a job that has not ended uses the upload, or that a project has it. Scope: `generate`.
     */
    delete_upload: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/shares: Share a result.
     *
     * A completed generation or image gets a public page at `url`; only this answer contains the address. A repeat with the same Idempotency-Key is 409 `already_created`. 409 `state_conflict` means that there is no result to show. The page ends with `expires_at`, with its job, or when it is revoked. Scopes: `read`, `generate`.
     */
    create_share: { takes: { body: ShareWish; once?: string }; gives: NewShare };
    /**
     * GET /api/v1/shares: List shared pages.
     *
     * Revoked and expired pages are listed too. The list is newest first. Scope: `read`.
     */
    list_shares: { takes: { query?: { limit?: number; cursor?: string } }; gives: SharePage };
    /**
     * DELETE /api/v1/shares/{id}: Revoke a shared page.
     *
     * The page is gone at once. A repeat changes nothing. Scope: `generate`.
     */
    delete_share: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * GET /s/{token}: Open a shared page.
     *
     * The page is HTML without scripts, for anyone who has the link. An unknown, expired, revoked or deleted page is the same 404. Links to files on the page are valid for five minutes.
     */
    open_share: { takes: { path: { token: string } }; gives: Response };
    /**
     * GET /api/v1/people: Find people by handle.
     *
     * An exact match comes first, then handles that begin with the text, if it has three letters or more. There is no next page. People who have blocked each other do not find each other. Scope: `chat`.
     */
    find_people: { takes: { query: { handle: string } }; gives: PersonPage };
    /**
     * POST /api/v1/invites: Create an invitation.
     *
     * The token leads to a conversation with its maker, or into a group of theirs. It is shown once; a repeat with the same Idempotency-Key is 409 `already_created`. The invitation ends with `expires_in_s`, when it is revoked, or when somebody is removed from the group. Scope: `chat`.
     */
    create_invite: { takes: { body?: InviteWish; once?: string }; gives: NewInvite };
    /**
     * GET /api/v1/invites: List invitations.
     *
     * The list is newest first. Scope: `chat`.
     */
    list_invites: { takes: { query?: { limit?: number; cursor?: string } }; gives: InvitePage };
    /**
     * DELETE /api/v1/invites/{id}: Revoke an invitation.
     *
     * Members who have joined through it stay. Scope: `chat`.
     */
    delete_invite: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/invites/find: Look up an invitation.
     *
     * The lookup joins nothing. The token is in the body, so no log of URLs contains it. An expired or revoked invitation is 404. Scope: `chat`.
     */
    find_invite: { takes: { body: InviteToken }; gives: InviteFound };
    /**
     * POST /api/v1/invites/accept: Accept an invitation.
     *
     * The account joins the group, or starts the conversation with the maker. A repeat answers the same conversation. The event `conversation.changed` follows. Scope: `chat`.
     */
    accept_invite: { takes: { body: InviteToken }; gives: Conversation };
    /**
     * POST /api/v1/conversations: Create a conversation.
     *
     * `account_id` opens the conversation with one other person, which exists once; `members` creates a group. The other person has a handle, or shares a conversation with the account. The event `conversation.changed` goes to each member. Scope: `chat`.
     */
    create_conversation: { takes: { body: ConversationWish; once?: string }; gives: Conversation };
    /**
     * GET /api/v1/conversations: List conversations.
     *
     * The conversation with the latest message is first. A conversation of two shows the presence of the other person. Scope: `read`.
     */
    list_conversations: { takes: { query?: { limit?: number; cursor?: string } }; gives: ConversationPage };
    /**
     * GET /api/v1/conversations/{id}: Get a conversation.
     *
     * The answer has the latest message and the exact number of unread messages. Scope: `read`.
     */
    get_conversation: { takes: { path: { id: Id } }; gives: Conversation };
    /**
     * GET /api/v1/conversations/{id}/members: List members.
     *
     * The oldest member is first. Each shows how far it has read, and its presence. An account that has left sees nobody. Scope: `read`.
     */
    list_members: { takes: { path: { id: Id }; query?: { limit?: number; cursor?: string } }; gives: MemberPage };
    /**
     * POST /api/v1/conversations/{id}/members: Add a member to a group.
     *
     * Any member of a group may add people; a repeat changes nothing. A newcomer sees the earlier messages as read. The event `conversation.changed` follows. Scope: `chat`.
     */
    add_member: { takes: { path: { id: Id }; body: AccountRef }; gives: MemberPage };
    /**
     * DELETE /api/v1/conversations/{id}/members: Leave a group or remove a member.
     *
     * Without `account_id` the account itself leaves. Only the maker of a group removes others (403), which ends the invitations of the group. The event `conversation.changed` follows. Scope: `chat`.
     */
    remove_member: { takes: { path: { id: Id }; query?: { account_id?: Id } }; gives: undefined };
    /**
     * POST /api/v1/conversations/{id}/messages: Send a message.
     *
     * A message that is answered with 201 is stored, and each member gets the event `message.created`. The same `client_id` of the same sender is one message, also at the same moment. `number` counts 1, 2, 3 within the conversation, without a gap. Media have to be `ready`. 403 means that the account has left, or that the conversation is closed by a block. Scope: `chat`.
     */
    create_message: { takes: { path: { id: Id }; body: MessageWish; once?: string }; gives: Message };
    /**
     * GET /api/v1/conversations/{id}/messages: List messages.
     *
     * The list is newest first. An account that has left sees the messages up to then. Deleted messages are tombstones without a text. Scope: `read`.
     */
    list_messages: { takes: { path: { id: Id }; query?: { limit?: number; cursor?: string } }; gives: MessagePage };
    /**
     * POST /api/v1/conversations/{id}/delivered: Mark messages as delivered.
     *
     * A device has all messages up to `number`. The mark never goes back, so a repeat or an older number changes nothing. The event `message.delivered` follows. Scope: `chat`.
     */
    mark_delivered: { takes: { path: { id: Id }; body: Mark }; gives: Conversation };
    /**
     * POST /api/v1/conversations/{id}/read: Mark messages as read.
     *
     * All messages up to `number` are read, and so delivered. The mark never goes back. The event `message.read` follows, and notifications of the conversation are read. Scope: `chat`.
     */
    mark_read: { takes: { path: { id: Id }; body: Mark }; gives: Conversation };
    /**
     * POST /api/v1/conversations/{id}/typing: Signal typing.
     *
     * The streams of the other members get `typing`, at most every two seconds. The signal is ephemeral: it has no position and is not replayed. 403 means that the account has left. Scope: `chat`.
     */
    send_typing: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * GET /api/v1/messages/{id}: Get a message.
     *
     * The delivery and read counts are those of this moment. Scope: `read`.
     */
    get_message: { takes: { path: { id: Id } }; gives: Message };
    /**
     * PATCH /api/v1/messages/{id}: Edit a message.
     *
     * Only the author edits: others get 403, and so does an author who has left. A deleted message is 409. The event `message.edited` follows. Scope: `chat`.
     */
    edit_message: { takes: { path: { id: Id }; body: MessageChange }; gives: Message };
    /**
     * DELETE /api/v1/messages/{id}: Delete a message.
     *
     * Only the author deletes: others get 403. A message that is deleted already is 409. The event `message.deleted` follows. Scope: `chat`.
     */
    delete_message: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * POST /api/v1/blocks: Block an account.
     *
     * The conversation of the two closes, and neither finds, invites or adds the other. In groups that others made both are still heard. The blocked account is not told. A repeat changes nothing. Scope: `chat`.
     */
    create_block: { takes: { body: AccountRef; once?: string }; gives: BlockMade };
    /**
     * GET /api/v1/blocks: List blocked accounts.
     *
     * The list has the accounts that this account has blocked, by falling id. Scope: `chat`.
     */
    list_blocks: { takes: { query?: { limit?: number; cursor?: string } }; gives: PersonPage };
    /**
     * DELETE /api/v1/blocks/{id}: Unblock an account.
     *
     * The id is that of the account. A repeat changes nothing. Presence shows again with its next change. Scope: `chat`.
     */
    delete_block: { takes: { path: { id: Id } }; gives: undefined };
    /**
     * GET /api/v1/notifications: List notifications.
     *
     * Ends of jobs are listed as long as the event log keeps them. `unread` is exact; `unread_jobs` counts among the last 500 events. The list is newest first. A page looks through 1,000 events at most: it may be short, and `next_cursor` goes on behind them. Scope: `read`.
     */
    list_notifications: { takes: { query?: { limit?: number; cursor?: string } }; gives: NoticePage };
    /**
     * POST /api/v1/notifications/read: Mark notifications as read.
     *
     * The body has `ids`, or `all`. Of ends of jobs, those before the latest one given are read too. Unknown ids change nothing. The event `notification.read` follows. Scope: `chat`.
     */
    read_notifications: { takes: { body: ReadWish }; gives: Unread };
    /**
     * POST /api/v1/admin/notifications: Send an announcement.
     *
     * One account or all accounts get a notification and its event, in one transaction. An Idempotency-Key makes a repeat safe. Scope: `admin`.
     */
    announce: { takes: { body: AnnouncementWish; once?: string }; gives: Announcement };
    /**
     * POST /api/v1/stream-tickets: Create a stream ticket.
     *
     * A ticket opens the streams of a browser, whose EventSource and WebSocket cannot send a header. It is valid for a short time, at most as long as the token, and may be used again until then. Signing out everywhere ends it. Scope: `account`.
     */
    create_ticket: { takes: {}; gives: Ticket };
    /**
     * GET /api/v1/events: Stream events (SSE).
     *
     * The first message is `ready`. A client that resumes with `Last-Event-ID` gets each event once, in the order of commits within a job. A position that is unknown here brings one `reset`: the client fetches the present state and goes on. A stream ends with its token. HTTP/1.1 is needed (505). A server that has all the streams it may have answers 503. Scope: `read`.
     */
    stream_events: { takes: { query?: { ticket?: string; last_event_id?: string } }; gives: Response };
    /**
     * GET /api/v1/events/poll: Poll events.
     *
     * The answer has at most 100 events behind `after`, or the first that come within `timeout`, or none. Without `after` it tells the current end of the log. It works over HTTP/1.0. Ephemeral events (`typing`, `presence`) are not told. Scope: `read`.
     */
    poll_events: { takes: { query?: { ticket?: string; after?: string; timeout?: number } }; gives: EventBatch };
    /**
     * GET /api/v1/ws: Open a WebSocket.
     *
     * Events flow after `subscribe`, or at once with `last_event_id`. Each carries its `position`, which is valid for the other two ways as well. A client may send messages, marks and typing over the same socket. A request without an upgrade is 426. Scope: `read`.
     */
    open_websocket: { takes: { query?: { ticket?: string; last_event_id?: string } }; gives: undefined };
    /**
     * POST /api/v1/webhooks/{provider}: Receive a provider's webhook.
     *
     * The signature of the provider is the permission: a wrong, missing or old one is 401. A call that is not known here is recorded and ignored. A repeat changes nothing. An unknown provider is 404.
     */
    receive_webhook: { takes: { path: { provider: string }; query?: { call?: string }; body: BodyInit }; gives: WebhookTaken };
    /**
     * GET /api/v1/admin/jobs: List jobs of all accounts.
     *
     * `state=held` shows the jobs that wait for a person, with the reason and what can be done. The list is newest first. Scope: `admin`.
     */
    list_jobs: { takes: { query?: { state?: JobState; limit?: number; cursor?: string } }; gives: AdminJobPage };
    /**
     * POST /api/v1/admin/jobs/{id}/cancel: Cancel any job.
     *
     * A waiting or held job is `cancelled` at once; a running one is `cancelling` until its runner has stopped. The event `job.cancelled` goes to its account. 409 means that it has ended. Scope: `admin`.
     */
    cancel_job: { takes: { path: { id: Id } }; gives: AdminJob };
    /**
     * POST /api/v1/admin/jobs/{id}/retry: Retry any job.
     *
     * The new job belongs to the account of the old one, which also pays. `seed`, `reason` and `prompt` work as for one of its own. 409 means that the job has not ended. Scope: `admin`.
     */
    retry_job: { takes: { path: { id: Id }; body?: RetryWish; once?: string }; gives: AdminJob };
    /**
     * POST /api/v1/admin/jobs/{id}/resolve: Resolve a held job.
     *
     * `fetch` asks for a paid result again, `adopt` follows a call that the provider has, `resend` calls again, `fail` gives up. `resend` may pay twice. The reason is kept with the name of the administrator. 409 `too_early` means that an answer may still come; 409 `state_conflict` means that the job is not held. Scope: `admin`.
     */
    resolve_job: { takes: { path: { id: Id }; body: Resolution }; gives: AdminJob };
    /**
     * GET /api/v1/admin/accounts: List accounts.
     *
     * `q` is an id, a wallet or subject, or the beginning of a handle or email. The list is newest first. Scope: `admin`.
     */
    list_accounts: { takes: { query?: { q?: string; limit?: number; cursor?: string } }; gives: AdminAccountPage };
    /**
     * POST /api/v1/admin/accounts/{id}/role: Set the role of an account.
     *
     * The role is `admin` or `user` and holds from the next call. An administrator cannot take the role from itself, nor from the last one: 409. The act is recorded. Scope: `admin`.
     */
    set_account_role: { takes: { path: { id: Id }; body: RoleWish }; gives: AdminAccount };
    /**
     * POST /api/v1/admin/accounts/{id}/suspend: Suspend an account.
     *
     * The next call of the account is refused, and its streams close. An administrator cannot suspend itself, nor the last one: 409. The act is recorded with its reason. Scope: `admin`.
     */
    suspend_account: { takes: { path: { id: Id }; body?: ReasonWish }; gives: AdminAccount };
    /**
     * POST /api/v1/admin/accounts/{id}/unsuspend: End a suspension.
     *
     * The account may sign in and call again. A repeat changes nothing. Scope: `admin`.
     */
    unsuspend_account: { takes: { path: { id: Id }; body?: ReasonWish }; gives: AdminAccount };
    /**
     * POST /api/v1/admin/accounts/{id}/grant: Grant credit.
     *
     * `amount` is in millionths of the currency; a negative one takes credit back. The ledger gets one row with the reason, and the event `billing.changed` follows. An Idempotency-Key makes a repeat safe. Scope: `admin`.
     */
    grant_account: { takes: { path: { id: Id }; body: GrantWish; once?: string }; gives: AdminAccount };
    /**
     * GET /api/v1/admin/events: Stream events of all accounts (SSE).
     *
     * `kind`, `state` and `account` filter the events. `Last-Event-ID` resumes without a gap and without a repeat; the positions are not those of `/events`. HTTP/1.1 is needed (505). Scope: `admin`.
     */
    watch_events: { takes: { query?: { kind?: string; state?: string; account?: Id; last_event_id?: string } }; gives: Response };
    /**
     * GET /api/v1/admin/providers: List providers.
     *
     * Each shows whether it is open, paused, broken or off, its calls under way, its latencies, and what today costs. The list is by name. Scope: `admin`.
     */
    list_providers: { takes: { query?: { limit?: number; cursor?: string } }; gives: ProviderPage };
    /**
     * GET /api/v1/admin/queues: List queues.
     *
     * Each shows what waits, runs and is held, and which runners serve it. Scope: `admin`.
     */
    list_queues: { takes: { query?: { limit?: number; cursor?: string } }; gives: QueuePage };
    /**
     * POST /api/v1/admin/queues/{name}/pause: Pause a queue.
     *
     * Tasks that run go on; nothing new starts until the queue is resumed. A repeat changes nothing. Scope: `admin`.
     */
    pause_queue: { takes: { path: { name: string } }; gives: Queue };
    /**
     * POST /api/v1/admin/queues/{name}/resume: Resume a queue.
     *
     * Waiting tasks start again. A repeat changes nothing. Scope: `admin`.
     */
    resume_queue: { takes: { path: { name: string } }; gives: Queue };
    /**
     * GET /api/v1/admin/runners: List runners.
     *
     * Each is alive, silent, left or expired. The list is newest first. Scope: `admin`.
     */
    list_runners: { takes: { query?: { limit?: number; cursor?: string } }; gives: RunnerPage };
    /**
     * GET /api/v1/admin/pipelines: List pipelines.
     *
     * Each shows the stages of its newest version. The list is by name. Scope: `admin`.
     */
    list_pipelines: { takes: { query?: { limit?: number; cursor?: string } }; gives: PipelinePage };
    /**
     * PUT /api/v1/admin/pipelines: Write a pipeline version.
     *
     * The body is the whole next version, stage by stage in order. `version`, the one that was read, guards against a concurrent change: 409. Wrong stages are 422 with their field. A running job keeps the version that it began with. Scope: `admin`.
     */
    put_pipeline: { takes: { body: PipelineWish }; gives: Pipeline };
    /**
     * GET /api/v1/admin/pipelines/{name}: Get a pipeline.
     *
     * The stages are those of the newest version, or of `version`. A name may contain slashes. Scope: `admin`.
     */
    get_pipeline: { takes: { path: { name: string }; query?: { version?: number } }; gives: Pipeline };
    /**
     * GET /api/v1/admin/categories: List try-on categories.
     *
     * Each shows the pipeline, the version and the price of its try-ons. Scope: `admin`.
     */
    list_categories: { takes: { query?: { limit?: number; cursor?: string } }; gives: CategoryPage };
    /**
     * PUT /api/v1/admin/categories/{name}: Write a try-on category.
     *
     * Fields that are left out stay; a category that does not exist is created. Wrong fields are 422. The change holds for try-ons that are made from then on. Scope: `admin`.
     */
    put_category: { takes: { path: { name: string }; body: CategoryWish }; gives: Category };
    /**
     * GET /api/v1/docs: Show this description as a page.
     *
     * The page has search, requests that can be tried, and samples in several languages. It loads nothing from another host.
     */
    show_docs: { takes: {}; gives: Response };
    /**
     * GET /api/v1/docs/scalar.js: Get the script of the page.
     *
     * The library that draws the page, as the server was built with it. A client that accepts gzip gets it packed.
     */
    get_docs_script: { takes: {}; gives: Response };
    /**
     * GET /api/v1/openapi.json: Get this description.
     *
     * The document is the one that the server was built with.
     */
    get_description: { takes: {}; gives: unknown };
    /**
     * GET /openapi.json: Get this description at the root.
     *
     * The same document is served at the root, where tools look for it.
     */
    get_description_too: { takes: {}; gives: unknown };
    /**
     * GET /healthz: Check that the process lives.
     *
     * The answer does not ask the database.
     */
    health: { takes: {}; gives: Health };
    /**
     * GET /readyz: Check that the process can work.
     *
     * An answer of 503 means that the database cannot be reached, is not migrated, or waits for a decision after a restore. The checks are listed.
     */
    ready: { takes: {}; gives: Readiness };
    /**
     * GET /metrics: Get metrics.
     *
     * Counts of what waits stop at 10,000, so a scrape stays cheap.
     */
    metrics: { takes: {}; gives: Response };
}

/** Where each operation is. */
export const routes = {
    create_nonce: ['POST', '/api/v1/auth/nonce'],
    sign_in: ['POST', '/api/v1/auth/siwe'],
    get_me: ['GET', '/api/v1/me'],
    update_me: ['PATCH', '/api/v1/me'],
    delete_me: ['DELETE', '/api/v1/me'],
    export_me: ['GET', '/api/v1/me/export'],
    send_confirmation: ['POST', '/api/v1/me/email/confirmation'],
    sign_out_everywhere: ['POST', '/api/v1/me/sign-out-everywhere'],
    list_identities: ['GET', '/api/v1/me/identities'],
    create_identity: ['POST', '/api/v1/me/identities'],
    delete_identity: ['DELETE', '/api/v1/me/identities/{id}'],
    create_api_key: ['POST', '/api/v1/api-keys'],
    list_api_keys: ['GET', '/api/v1/api-keys'],
    delete_api_key: ['DELETE', '/api/v1/api-keys/{id}'],
    create_webhook_endpoint: ['POST', '/api/v1/webhook-endpoints'],
    list_webhook_endpoints: ['GET', '/api/v1/webhook-endpoints'],
    delete_webhook_endpoint: ['DELETE', '/api/v1/webhook-endpoints/{id}'],
    rotate_webhook_secret: ['POST', '/api/v1/webhook-endpoints/{id}/rotate'],
    enable_webhook_endpoint: ['POST', '/api/v1/webhook-endpoints/{id}/enable'],
    list_deliveries: ['GET', '/api/v1/webhook-endpoints/{id}/deliveries'],
    resend_delivery: ['POST', '/api/v1/deliveries/{id}/resend'],
    ask_to_confirm_email: ['GET', '/api/v1/confirm-email/{token}'],
    confirm_email: ['POST', '/api/v1/confirm-email/{token}'],
    ask_to_unsubscribe: ['GET', '/api/v1/unsubscribe/{token}'],
    unsubscribe: ['POST', '/api/v1/unsubscribe/{token}'],
    create_generation: ['POST', '/api/v1/generate'],
    estimate_generation: ['POST', '/api/v1/generate/estimate'],
    list_generations: ['GET', '/api/v1/generations'],
    get_generation: ['GET', '/api/v1/generations/{id}'],
    delete_generation: ['DELETE', '/api/v1/generations/{id}'],
    cancel_generation: ['POST', '/api/v1/generations/{id}/cancel'],
    retry_generation: ['POST', '/api/v1/generations/{id}/retry'],
    list_models: ['GET', '/api/v1/models'],
    get_model: ['GET', '/api/v1/models/{id}'],
    create_tryon: ['POST', '/api/v1/tryons'],
    list_tryons: ['GET', '/api/v1/tryons'],
    get_tryon: ['GET', '/api/v1/tryons/{id}'],
    cancel_tryon: ['POST', '/api/v1/tryons/{id}/cancel'],
    retry_tryon: ['POST', '/api/v1/tryons/{id}/retry'],
    create_project: ['POST', '/api/v1/projects'],
    list_projects: ['GET', '/api/v1/projects'],
    get_project: ['GET', '/api/v1/projects/{id}'],
    update_project: ['PUT', '/api/v1/projects/{id}'],
    delete_project: ['DELETE', '/api/v1/projects/{id}'],
    stage_project: ['POST', '/api/v1/projects/{id}/stage'],
    download_project: ['GET', '/api/v1/projects/{id}/download'],
    list_project_images: ['GET', '/api/v1/projects/{id}/images'],
    create_image: ['POST', '/api/v1/images'],
    list_images: ['GET', '/api/v1/images'],
    get_staging_options: ['GET', '/api/v1/images/options'],
    get_image: ['GET', '/api/v1/images/{id}'],
    delete_image: ['DELETE', '/api/v1/images/{id}'],
    cancel_image: ['POST', '/api/v1/images/{id}/cancel'],
    retry_image: ['POST', '/api/v1/images/{id}/retry'],
    create_upload: ['POST', '/api/v1/uploads/presign'],
    finish_upload: ['PUT', '/api/v1/media/{id}'],
    open_media: ['GET', '/api/v1/media/{id}'],
    complete_upload: ['POST', '/api/v1/uploads/{id}/complete'],
    get_upload: ['GET', '/api/v1/uploads/{id}'],
    delete_upload: ['DELETE', '/api/v1/uploads/{id}'],
    create_share: ['POST', '/api/v1/shares'],
    list_shares: ['GET', '/api/v1/shares'],
    delete_share: ['DELETE', '/api/v1/shares/{id}'],
    open_share: ['GET', '/s/{token}'],
    find_people: ['GET', '/api/v1/people'],
    create_invite: ['POST', '/api/v1/invites'],
    list_invites: ['GET', '/api/v1/invites'],
    delete_invite: ['DELETE', '/api/v1/invites/{id}'],
    find_invite: ['POST', '/api/v1/invites/find'],
    accept_invite: ['POST', '/api/v1/invites/accept'],
    create_conversation: ['POST', '/api/v1/conversations'],
    list_conversations: ['GET', '/api/v1/conversations'],
    get_conversation: ['GET', '/api/v1/conversations/{id}'],
    list_members: ['GET', '/api/v1/conversations/{id}/members'],
    add_member: ['POST', '/api/v1/conversations/{id}/members'],
    remove_member: ['DELETE', '/api/v1/conversations/{id}/members'],
    create_message: ['POST', '/api/v1/conversations/{id}/messages'],
    list_messages: ['GET', '/api/v1/conversations/{id}/messages'],
    mark_delivered: ['POST', '/api/v1/conversations/{id}/delivered'],
    mark_read: ['POST', '/api/v1/conversations/{id}/read'],
    send_typing: ['POST', '/api/v1/conversations/{id}/typing'],
    get_message: ['GET', '/api/v1/messages/{id}'],
    edit_message: ['PATCH', '/api/v1/messages/{id}'],
    delete_message: ['DELETE', '/api/v1/messages/{id}'],
    create_block: ['POST', '/api/v1/blocks'],
    list_blocks: ['GET', '/api/v1/blocks'],
    delete_block: ['DELETE', '/api/v1/blocks/{id}'],
    list_notifications: ['GET', '/api/v1/notifications'],
    read_notifications: ['POST', '/api/v1/notifications/read'],
    announce: ['POST', '/api/v1/admin/notifications'],
    create_ticket: ['POST', '/api/v1/stream-tickets'],
    stream_events: ['GET', '/api/v1/events'],
    poll_events: ['GET', '/api/v1/events/poll'],
    open_websocket: ['GET', '/api/v1/ws'],
    receive_webhook: ['POST', '/api/v1/webhooks/{provider}'],
    list_jobs: ['GET', '/api/v1/admin/jobs'],
    cancel_job: ['POST', '/api/v1/admin/jobs/{id}/cancel'],
    retry_job: ['POST', '/api/v1/admin/jobs/{id}/retry'],
    resolve_job: ['POST', '/api/v1/admin/jobs/{id}/resolve'],
    list_accounts: ['GET', '/api/v1/admin/accounts'],
    set_account_role: ['POST', '/api/v1/admin/accounts/{id}/role'],
    suspend_account: ['POST', '/api/v1/admin/accounts/{id}/suspend'],
    unsuspend_account: ['POST', '/api/v1/admin/accounts/{id}/unsuspend'],
    grant_account: ['POST', '/api/v1/admin/accounts/{id}/grant'],
    watch_events: ['GET', '/api/v1/admin/events'],
    list_providers: ['GET', '/api/v1/admin/providers'],
    list_queues: ['GET', '/api/v1/admin/queues'],
    pause_queue: ['POST', '/api/v1/admin/queues/{name}/pause'],
    resume_queue: ['POST', '/api/v1/admin/queues/{name}/resume'],
    list_runners: ['GET', '/api/v1/admin/runners'],
    list_pipelines: ['GET', '/api/v1/admin/pipelines'],
    put_pipeline: ['PUT', '/api/v1/admin/pipelines'],
    get_pipeline: ['GET', '/api/v1/admin/pipelines/{name}'],
    list_categories: ['GET', '/api/v1/admin/categories'],
    put_category: ['PUT', '/api/v1/admin/categories/{name}'],
    show_docs: ['GET', '/api/v1/docs'],
    get_docs_script: ['GET', '/api/v1/docs/scalar.js'],
    get_description: ['GET', '/api/v1/openapi.json'],
    get_description_too: ['GET', '/openapi.json'],
    health: ['GET', '/healthz'],
    ready: ['GET', '/readyz'],
    metrics: ['GET', '/metrics'],
} as const satisfies Record<keyof Operations, readonly [string, string]>;
