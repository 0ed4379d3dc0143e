// An error that the server described (RFC 9457), and how its answers become one.
import type { FieldError, ProblemCode } from './api.ts';

interface Said {
    detail?: string;
    code?: ProblemCode;
    request_id?: string;
    errors?: FieldError[];
}

export class Problem extends Error {
    readonly status: number;
    readonly code: ProblemCode | 'unknown';
    readonly request_id: string | undefined;
    /** The fields that are wrong. */
    readonly errors: FieldError[];
    /** Seconds after which it may work. */
    readonly retry_after: number | undefined;

    constructor(response: Response, said: Said) {
        super(said.detail ?? `the server answered ${response.status}`);
        this.name = 'Problem';
        this.status = response.status;
        this.code = said.code ?? 'unknown';
        this.request_id = said.request_id ?? response.headers.get('X-Request-Id') ?? undefined;
        this.errors = said.errors ?? [];
        const seconds = Number(response.headers.get('Retry-After') ?? NaN);
        this.retry_after = seconds >= 0 ? seconds : undefined;
    }

    static async of(response: Response): Promise<Problem> {
        const is_described = response.headers.get('Content-Type')?.startsWith('application/problem+json');
        return new Problem(response, is_described ? ((await response.json()) as Said) : {});
    }
}

export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise(resolve => {
        const timer = setTimeout(resolve, ms);
        signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
    });
}
