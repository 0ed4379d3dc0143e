// Made by `make types` from docs/events.schema.json; do not edit.

/**
 * Every event that a client of /events, /ws or /events/poll can be sent. `type` tells which.
 */
export type KilnEvent =
    | JobQueued
    | JobStarted
    | JobProgress
    | JobCancelling
    | JobHeld
    | JobCompleted
    | JobFailed
    | JobCancelled
    | MediaReady
    | MediaRejected
    | MessageCreated
    | MessageDelivered
    | MessageRead
    | MessageEdited
    | MessageDeleted
    | ConversationChanged
    | Notification
    | NotificationRead
    | BillingChanged
    | SessionEnded
    | Ready
    | Reset
    | Typing
    | Presence;

/**
 * A job was made, or put back into its queue.
 */
export interface JobQueued {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.queued';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'queued';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * A runner has begun it, or goes on with it.
 */
export interface JobStarted {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.started';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'running';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * How far it is. May be coalesced: of several, a client may see the last only.
 */
export interface JobProgress {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.progress';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'running';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    progress: Progress;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * How far.
 */
export interface Progress {
    /**
     * Of the whole job, 0 to 1; null once the job was deleted.
     */
    fraction: number | null;
    /**
     * The stage at work, from 1.
     */
    stage: number;
    /**
     * How many stages there are; null once the job was deleted.
     */
    stages: number | null;
    /**
     * What is being done, or the stage's name; null once the job was deleted.
     */
    label: string | null;
}
/**
 * It is being stopped.
 */
export interface JobCancelling {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.cancelling';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'cancelling';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    error?: JobError;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Why.
 */
export interface JobError {
    /**
     * A stable word: an error class, cancelled, poison, operator.
     */
    code: string;
    /**
     * A sentence, or null.
     */
    message: string | null;
}
/**
 * It waits for a person: whether a paid call was made cannot be known, or an administrator stopped it.
 */
export interface JobHeld {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.held';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'held';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    error?: JobError1;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Why.
 */
export interface JobError1 {
    /**
     * A stable word: an error class, cancelled, poison, operator.
     */
    code: string;
    /**
     * A sentence, or null.
     */
    message: string | null;
}
/**
 * It is done; the links are enough for a toast.
 */
export interface JobCompleted {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.completed';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'completed';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    /**
     * Signed path to the first result; expires. Null where it made no media, or the job or the file was deleted.
     */
    result_url: string | null;
    /**
     * Signed path to the first result's small picture; expires. Null where there is none.
     */
    thumbnail_url: string | null;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * It has failed for good.
 */
export interface JobFailed {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.failed';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'failed';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    error: JobError2;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Why.
 */
export interface JobError2 {
    /**
     * A stable word: an error class, cancelled, poison, operator.
     */
    code: string;
    /**
     * A sentence, or null.
     */
    message: string | null;
}
/**
 * It was cancelled.
 */
export interface JobCancelled {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'job.cancelled';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The job.
     */
    job_id: string;
    /**
     * Which product asked for it; null once the job was deleted. upload: the check of a file, told to the operator only.
     */
    kind: 'generation' | 'tryon' | 'staging' | 'upload' | null;
    /**
     * What comes out; null of jobs that make no media, and once the job was deleted.
     */
    media_type: 'image' | 'video' | 'audio' | null;
    /**
     * The state after it.
     */
    state: 'cancelled';
    /**
     * The job's version after it; drop what is older than you know. Progress repeats it.
     */
    version: number;
    error: JobError3;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Why.
 */
export interface JobError3 {
    /**
     * A stable word: an error class, cancelled, poison, operator.
     */
    code: string;
    /**
     * A sentence, or null.
     */
    message: string | null;
}
/**
 * An upload was checked and may be used. What a job makes is told with the job.
 */
export interface MediaReady {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'media.ready';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The media id.
     */
    media_id: string;
    media?: Media;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * The file with its facts; absent once it was deleted.
 */
export interface Media {
    /**
     * The media id.
     */
    id: string;
    /**
     * What it is.
     */
    media_type: 'image' | 'video' | 'audio';
    /**
     * uploading: a place was promised; checking: the bytes are being looked at; ready: may be used; rejected: may not.
     */
    state: 'uploading' | 'checking' | 'ready' | 'rejected';
    /**
     * MIME type, as found in the bytes.
     */
    content_type: string;
    /**
     * Size in bytes.
     */
    bytes: number;
    /**
     * SHA-256 of the bytes, in hex; null until known.
     */
    sha256: string | null;
    /**
     * Width in pixels, as shown; null of audio or until known.
     */
    width: number | null;
    /**
     * Height in pixels, as shown; null of audio or until known.
     */
    height: number | null;
    /**
     * Duration in milliseconds of video and audio; else null.
     */
    duration_ms: number | null;
    /**
     * Signed path to the file; expires. Null until it is ready.
     */
    url: string | null;
    /**
     * Signed path to a small picture; expires. Null where there is none.
     */
    thumbnail_url: string | null;
    /**
     * Signed path to the same without the label that was burnt in; expires. Only where there is one, and only for its owner.
     */
    clean_url?: string;
    /**
     * Why it was rejected, as a sentence; only then.
     */
    reason?: string;
}
/**
 * An upload was checked and may not be used.
 */
export interface MediaRejected {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'media.rejected';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The media id.
     */
    media_id: string;
    media?: Media1;
    /**
     * Why, as a sentence.
     */
    reason: string;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * The file with its facts; absent once it was deleted.
 */
export interface Media1 {
    /**
     * The media id.
     */
    id: string;
    /**
     * What it is.
     */
    media_type: 'image' | 'video' | 'audio';
    /**
     * uploading: a place was promised; checking: the bytes are being looked at; ready: may be used; rejected: may not.
     */
    state: 'uploading' | 'checking' | 'ready' | 'rejected';
    /**
     * MIME type, as found in the bytes.
     */
    content_type: string;
    /**
     * Size in bytes.
     */
    bytes: number;
    /**
     * SHA-256 of the bytes, in hex; null until known.
     */
    sha256: string | null;
    /**
     * Width in pixels, as shown; null of audio or until known.
     */
    width: number | null;
    /**
     * Height in pixels, as shown; null of audio or until known.
     */
    height: number | null;
    /**
     * Duration in milliseconds of video and audio; else null.
     */
    duration_ms: number | null;
    /**
     * Signed path to the file; expires. Null until it is ready.
     */
    url: string | null;
    /**
     * Signed path to a small picture; expires. Null where there is none.
     */
    thumbnail_url: string | null;
    /**
     * Signed path to the same without the label that was burnt in; expires. Only where there is one, and only for its owner.
     */
    clean_url?: string;
    /**
     * Why it was rejected, as a sentence; only then.
     */
    reason?: string;
}
/**
 * Something was said, by others or on another device of one's own.
 */
export interface MessageCreated {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'message.created';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The conversation.
     */
    conversation_id: string;
    /**
     * The message.
     */
    message_id: string;
    /**
     * Its number in the conversation.
     */
    number: number;
    message: Message;
    /**
     * Whether it is a group.
     */
    is_group: boolean;
    /**
     * What the group is called, or null.
     */
    title: string | null;
    /**
     * How many of others' messages this account has not read.
     */
    unread: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * The message as it is now: a later change may show already.
 */
export interface Message {
    /**
     * The message.
     */
    id: string;
    /**
     * Where it was said.
     */
    conversation_id: string;
    /**
     * 1, 2, 3 in the order of commits within the conversation, without a hole.
     */
    number: number;
    /**
     * The sender's own id, or null: the same twice is one message.
     */
    client_id: string | null;
    author: Person;
    /**
     * What it says; null of a tombstone or of media alone.
     */
    text: string | null;
    /**
     * Files that came with it, at most ten.
     */
    media: Media2[];
    /**
     * What it answers, or null.
     */
    reply_to: Quote | null;
    ticks: Ticks;
    /**
     * True of a tombstone.
     */
    is_deleted: boolean;
    /**
     * When it was said.
     */
    created_at: string;
    /**
     * When it was last changed, or null.
     */
    edited_at: string | null;
}
/**
 * Who said it.
 */
export interface Person {
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
}
/**
 * A stored file with its facts.
 */
export interface Media2 {
    /**
     * The media id.
     */
    id: string;
    /**
     * What it is.
     */
    media_type: 'image' | 'video' | 'audio';
    /**
     * uploading: a place was promised; checking: the bytes are being looked at; ready: may be used; rejected: may not.
     */
    state: 'uploading' | 'checking' | 'ready' | 'rejected';
    /**
     * MIME type, as found in the bytes.
     */
    content_type: string;
    /**
     * Size in bytes.
     */
    bytes: number;
    /**
     * SHA-256 of the bytes, in hex; null until known.
     */
    sha256: string | null;
    /**
     * Width in pixels, as shown; null of audio or until known.
     */
    width: number | null;
    /**
     * Height in pixels, as shown; null of audio or until known.
     */
    height: number | null;
    /**
     * Duration in milliseconds of video and audio; else null.
     */
    duration_ms: number | null;
    /**
     * Signed path to the file; expires. Null until it is ready.
     */
    url: string | null;
    /**
     * Signed path to a small picture; expires. Null where there is none.
     */
    thumbnail_url: string | null;
    /**
     * Signed path to the same without the label that was burnt in; expires. Only where there is one, and only for its owner.
     */
    clean_url?: string;
    /**
     * Why it was rejected, as a sentence; only then.
     */
    reason?: string;
}
/**
 * The message that another one answers.
 */
export interface Quote {
    /**
     * The message.
     */
    id: string;
    /**
     * Its number in the conversation.
     */
    number: number;
    /**
     * Whose it is.
     */
    account_id: string;
    /**
     * Its first 140 characters; null of a tombstone or of media alone.
     */
    text: string | null;
    /**
     * Whether it was taken back.
     */
    is_deleted: boolean;
}
/**
 * How far it has got.
 */
export interface Ticks {
    /**
     * read or delivered when all others' devices said so; else accepted.
     */
    state: 'accepted' | 'delivered' | 'read';
    /**
     * How many others have it.
     */
    delivered: number;
    /**
     * How many others read it.
     */
    read: number;
    /**
     * How many others there are.
     */
    of: number;
}
/**
 * A member's device has the messages up to a number.
 */
export interface MessageDelivered {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'message.delivered';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The conversation.
     */
    conversation_id: string;
    /**
     * Whose mark moved.
     */
    by: string;
    /**
     * All messages up to this one.
     */
    number: number;
    /**
     * Whether it is a group.
     */
    is_group: boolean;
    /**
     * What the group is called, or null.
     */
    title: string | null;
    /**
     * How many of others' messages this account has not read.
     */
    unread: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * A member read the messages up to a number; they are delivered too.
 */
export interface MessageRead {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'message.read';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The conversation.
     */
    conversation_id: string;
    /**
     * Whose mark moved.
     */
    by: string;
    /**
     * All messages up to this one.
     */
    number: number;
    /**
     * Whether it is a group.
     */
    is_group: boolean;
    /**
     * What the group is called, or null.
     */
    title: string | null;
    /**
     * How many of others' messages this account has not read.
     */
    unread: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * A message was changed.
 */
export interface MessageEdited {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'message.edited';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The conversation.
     */
    conversation_id: string;
    /**
     * The message.
     */
    message_id: string;
    /**
     * Its number in the conversation.
     */
    number: number;
    message: Message1;
    /**
     * Whether it is a group.
     */
    is_group: boolean;
    /**
     * What the group is called, or null.
     */
    title: string | null;
    /**
     * How many of others' messages this account has not read.
     */
    unread: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * The message as it is now: a later change may show already.
 */
export interface Message1 {
    /**
     * The message.
     */
    id: string;
    /**
     * Where it was said.
     */
    conversation_id: string;
    /**
     * 1, 2, 3 in the order of commits within the conversation, without a hole.
     */
    number: number;
    /**
     * The sender's own id, or null: the same twice is one message.
     */
    client_id: string | null;
    author: Person;
    /**
     * What it says; null of a tombstone or of media alone.
     */
    text: string | null;
    /**
     * Files that came with it, at most ten.
     */
    media: Media2[];
    /**
     * What it answers, or null.
     */
    reply_to: Quote | null;
    ticks: Ticks;
    /**
     * True of a tombstone.
     */
    is_deleted: boolean;
    /**
     * When it was said.
     */
    created_at: string;
    /**
     * When it was last changed, or null.
     */
    edited_at: string | null;
}
/**
 * A message was taken back; a tombstone stays.
 */
export interface MessageDeleted {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'message.deleted';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The conversation.
     */
    conversation_id: string;
    /**
     * The message.
     */
    message_id: string;
    /**
     * Its number in the conversation.
     */
    number: number;
    message: Message2;
    /**
     * Whether it is a group.
     */
    is_group: boolean;
    /**
     * What the group is called, or null.
     */
    title: string | null;
    /**
     * How many of others' messages this account has not read.
     */
    unread: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * The message as it is now: a later change may show already.
 */
export interface Message2 {
    /**
     * The message.
     */
    id: string;
    /**
     * Where it was said.
     */
    conversation_id: string;
    /**
     * 1, 2, 3 in the order of commits within the conversation, without a hole.
     */
    number: number;
    /**
     * The sender's own id, or null: the same twice is one message.
     */
    client_id: string | null;
    author: Person;
    /**
     * What it says; null of a tombstone or of media alone.
     */
    text: string | null;
    /**
     * Files that came with it, at most ten.
     */
    media: Media2[];
    /**
     * What it answers, or null.
     */
    reply_to: Quote | null;
    ticks: Ticks;
    /**
     * True of a tombstone.
     */
    is_deleted: boolean;
    /**
     * When it was said.
     */
    created_at: string;
    /**
     * When it was last changed, or null.
     */
    edited_at: string | null;
}
/**
 * A conversation was begun, or who is in it changed.
 */
export interface ConversationChanged {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'conversation.changed';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The conversation.
     */
    conversation_id: string;
    /**
     * What changed.
     */
    change: 'begun' | 'joined' | 'left';
    /**
     * Who changed it.
     */
    by: string;
    account?: Person1;
    /**
     * Whether it is a group.
     */
    is_group: boolean;
    /**
     * What the group is called, or null.
     */
    title: string | null;
    /**
     * How many of others' messages this account has not read.
     */
    unread: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Who joined or left; absent of begun.
 */
export interface Person1 {
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
}
/**
 * Something to tell besides jobs and messages.
 */
export interface Notification {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'notification';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * The notification.
     */
    notification_id: string;
    notification?: Notice;
    /**
     * Unread notifications, exactly.
     */
    unread: number;
    /**
     * Ends of jobs that were not seen, of the account's last 500 events.
     */
    unread_jobs: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * It; absent once it was deleted.
 */
export interface Notice {
    /**
     * The notification.
     */
    id: string;
    /**
     * A word for clients, such as maintenance or message.
     */
    kind: string;
    /**
     * What it says.
     */
    text: string;
    /**
     * Where it leads, or null.
     */
    link: string | null;
    /**
     * Null: the end of a job is told by the job's own event.
     */
    job_id: null;
    /**
     * The conversation it is about, or null.
     */
    conversation_id: string | null;
    /**
     * When it was read, or null.
     */
    read_at: string | null;
    /**
     * When it was made.
     */
    created_at: string;
}
/**
 * Notifications were read, on some device.
 */
export interface NotificationRead {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'notification.read';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * Unread notifications, exactly.
     */
    unread: number;
    /**
     * Ends of jobs that were not seen, of the account's last 500 events.
     */
    unread_jobs: number;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * The account's plan or balance changed: fetch it.
 */
export interface BillingChanged {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'billing.changed';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * A word: grant.
     */
    reason: string;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Told to administrators' streams only: all that was open of this account ends, and whoever still may comes back.
 */
export interface SessionEnded {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'session.ended';
    /**
     * Whose stream it is on; told to administrators' streams only.
     */
    account_id?: string;
    /**
     * Why, as a word; absent where nobody gave one.
     */
    reason?: string;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * The first event of each link: the stream is in force from `position` on.
 */
export interface Ready {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position: string;
    /**
     * What happened.
     */
    type: 'ready';
}
/**
 * The position that was handed in is not known here, or the log no longer reaches back to it: fetch the present state, and go on from here.
 */
export interface Reset {
    /**
     * Where the log is behind this event, at most 2 KiB: hand it back to resume. In the data of WebSocket messages and long polls; SSE has it as `id:`. Absent where the event is not in the log.
     */
    position?: string;
    /**
     * What happened.
     */
    type: 'reset';
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * A member of a conversation is typing; told at most every two seconds, in no log, without a position.
 */
export interface Typing {
    /**
     * What happened.
     */
    type: 'typing';
    /**
     * Where.
     */
    conversation_id: string;
    account: Person2;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Who.
 */
export interface Person2 {
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
}
/**
 * Somebody with whom one shares a conversation came online or went; in no log, without a position.
 */
export interface Presence {
    /**
     * What happened.
     */
    type: 'presence';
    account: Person3;
    /**
     * online: has a stream open, anywhere; offline: has none, for some seconds.
     */
    state: 'online' | 'offline';
    /**
     * When its last stream ended (UTC, milliseconds); null of who is online, and of who does not show it any more.
     */
    last_seen_at: string | null;
    /**
     * When it was written (UTC, milliseconds).
     */
    at: string;
}
/**
 * Who.
 */
export interface Person3 {
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
}

/** The event of each type. */
export interface KilnEvents {
    'job.queued': JobQueued;
    'job.started': JobStarted;
    'job.progress': JobProgress;
    'job.cancelling': JobCancelling;
    'job.held': JobHeld;
    'job.completed': JobCompleted;
    'job.failed': JobFailed;
    'job.cancelled': JobCancelled;
    'media.ready': MediaReady;
    'media.rejected': MediaRejected;
    'message.created': MessageCreated;
    'message.delivered': MessageDelivered;
    'message.read': MessageRead;
    'message.edited': MessageEdited;
    'message.deleted': MessageDeleted;
    'conversation.changed': ConversationChanged;
    'notification': Notification;
    'notification.read': NotificationRead;
    'billing.changed': BillingChanged;
    'session.ended': SessionEnded;
    'ready': Ready;
    'reset': Reset;
    'typing': Typing;
    'presence': Presence;
}
export type KilnEventType = keyof KilnEvents;
