// json: how the descriptions in docs/ are laid out: two spaces, and on one line what fits there.
const width = 150;

function lines(value, indent, room) {
    const flat = one_line(value);
    if (value === null || typeof value !== 'object' || flat.length <= room) return flat;
    const deeper = `${indent}  `;
    const parts = Array.isArray(value) ? value.map(item => `${deeper}${lines(item, deeper, width - deeper.length)}`)
        : Object.entries(value).map(([key, item]) => {
            const name = `${deeper}${JSON.stringify(key)}: `;
            return name + lines(item, deeper, width - name.length);
        });
    const [open, close] = Array.isArray(value) ? '[]' : '{}';
    return `${open}\n${parts.join(',\n')}\n${indent}${close}`;
}

function one_line(value) {
    if (Array.isArray(value)) return `[${value.map(one_line).join(', ')}]`;
    if (value === null || typeof value !== 'object') return JSON.stringify(value);
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${one_line(item)}`).join(', ')}}`;
}

/** JSON text; a value that cannot be broken (a long string) stays whole. */
export function layout(value) {
    return `${lines(value, '', 0)}\n`;
}
