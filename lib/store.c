/*
 * store: a folder of media files, or a bucket; see store.h for what it promises.
 */
#include "lib/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/base16.h>
/* takes no locks: those of libcrypto may be held by a thread of the resolver where we are a forked
 * child */
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "lib/s3.h"

#define TEMPORARY          "tmp"
#define LITTER_SECONDS     86400
#define WRITE_BEHIND_BYTES (1u << 20)

struct store {
    int        dir_fd; /* of a bucket: where files without a name are made */
    struct s3 *s3;     /* NULL: a folder */
};

struct store_writer {
    struct store     *store;
    struct sha256_ctx sha256;
    int               fd;
    uint64_t          bytes;
    uint64_t          started; /* bytes whose writing to disk has been started */
    char              part[sizeof(TEMPORARY) + 33];
};

bool store_key_is_valid(const char *key)
{
    for (size_t i = 0; i < STORE_KEY_CHARS; i++) {
        char c = key[i];
        if (i == 2 ? c != '/' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false; /* also where key ends early: NUL is no hex digit */
    }
    return key[STORE_KEY_CHARS] == '\0';
}

/* A writer holds a lock, which ends with its process. Where the file system has none, age tells. */
static void remove_litter(int dir_fd, const char *name, const struct stat *st)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0
        || (errno != EWOULDBLOCK && st->st_mtime < base_unix_seconds() - LITTER_SECONDS))
        unlinkat(dir_fd, name, 0);
    close(fd);
}

/* A crash in the middle of a write leaves a temporary file; nothing refers to it. */
static void sweep_litter(int dir_fd)
{
    int            fd  = openat(dir_fd, TEMPORARY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR           *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    struct stat    st;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir))) {
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            remove_litter(fd, entry->d_name, &st);
    }
    closedir(dir);
}

static bool make_folders(const char *path, struct err *err)
{
    char *copy = strdup(path);
    bool  ok   = copy != NULL;

    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; ok && slash;
         slash       = strchr(slash + 1, '/')) {
        *slash = '\0';
        ok     = mkdir(copy, 0755) == 0 || errno == EEXIST;
        *slash = '/';
    }
    ok = ok && (mkdir(path, 0750) == 0 || errno == EEXIST);
    if (!ok)
        err_errno(err, "create folder", path);
    free(copy);
    return ok;
}

static struct store *open_bucket(const char *url, struct err *err)
{
    struct store *store = calloc(1, sizeof(*store));
    const char   *tmp   = getenv("TMPDIR");

    if (!store)
        abort();
    tmp           = tmp && tmp[0] == '/' ? tmp : "/tmp";
    store->dir_fd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0)
        err_errno(err, "open folder", tmp);
    else
        store->s3 = s3_open(url, err);
    if (store->s3)
        return store;
    store_close(store);
    return NULL;
}

struct store *store_open(const char *url, struct err *err)
{
    const char   *path = url + 5;
    struct store *store;

    if (strncmp(url, "s3://", 5) == 0)
        return open_bucket(url, err);
    if (strncmp(url, "file:", 5) != 0 || path[0] != '/') {
        err_set(err, "F0000", "KILN_MEDIA must be file:/absolute/folder or s3://bucket?endpoint=…");
        return NULL;
    }
    if (strncmp(path, "//", 2) == 0) /* file:///dir is the same folder */
        path += 2;
    if (path[0] != '/') {
        err_set(err, "F0000", "KILN_MEDIA must be file:/absolute/folder, without a host");
        return NULL;
    }
    if (!make_folders(path, err))
        return NULL;
    store = calloc(1, sizeof(*store));
    if (!store)
        abort();
    store->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0 || (mkdirat(store->dir_fd, TEMPORARY, 0750) < 0 && errno != EEXIST)) {
        err_errno(err, "open folder", path);
        store_close(store);
        return NULL;
    }
    sweep_litter(store->dir_fd);
    return store;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    s3_close(store->s3);
    free(store);
}

bool store_is_remote(const struct store *store)
{
    return store->s3;
}

static bool check_key(const char *key, struct err *err)
{
    if (store_key_is_valid(key))
        return true;
    err_set(err, "XX000", "not a storage key: %.60s", key);
    return false;
}

/* ---- writing ---- */

/* A file that goes with its descriptor. */
static int nameless(struct store *store, struct err *err)
{
    int fd = openat(store->dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    if (fd < 0)
        err_errno(err, "create", "a temporary file");
    return fd;
}

/* Locked, so that whoever sweeps sees that it is no litter; one who has swept it between the two is
 * found out. */
static int open_part(struct store_writer *writer)
{
    struct stat st;
    int         fd;

    for (;;) {
        base_random_hex(writer->part + sizeof(TEMPORARY), 32);
        fd = openat(writer->store->dir_fd, writer->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                    0640);
        if (fd < 0 || flock(fd, LOCK_SH) < 0 || fstat(fd, &st) < 0 || st.st_nlink > 0)
            return fd;
        close(fd);
    }
}

struct store_writer *store_create(struct store *store, struct err *err)
{
    struct store_writer *writer = calloc(1, sizeof(*writer));

    if (!writer)
        abort();
    writer->store = store;
    strcpy(writer->part, TEMPORARY "/");
    sha256_init(&writer->sha256);
    writer->fd = store->s3 ? openat(store->dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)
                           : open_part(writer);
    if (writer->fd < 0) {
        err_errno(err, "create", writer->part);
        store_abandon(writer);
        return NULL;
    }
    return writer;
}

void store_abandon(struct store_writer *writer)
{
    if (!writer)
        return;
    if (writer->fd >= 0) {
        close(writer->fd);
        if (!writer->store->s3)
            unlinkat(writer->store->dir_fd, writer->part, 0);
    }
    free(writer);
}

/* Starts writing to disk as we go, so that the fsync at the end does not hold the loop for the
 * whole file. */
static void write_behind(struct store_writer *writer)
{
    if (writer->bytes - writer->started < WRITE_BEHIND_BYTES)
        return;
    sync_file_range(writer->fd, (off_t)writer->started, (off_t)(writer->bytes - writer->started),
                    SYNC_FILE_RANGE_WRITE);
    writer->started = writer->bytes;
}

bool store_write(struct store_writer *writer, const void *data, size_t bytes, struct err *err)
{
    const char *from = data;

    sha256_update(&writer->sha256, bytes, data);
    while (bytes > 0) {
        ssize_t n;

        if (FAILPOINT_FAILS("store.writing")) {
            errno = ENOSPC;
            err_errno(err, "write", "a media file");
            return false;
        }
        n = write(writer->fd, from, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_errno(err, "write", "a media file");
            return false;
        }
        from += n;
        bytes -= (size_t)n;
        writer->bytes += (uint64_t)n;
    }
    write_behind(writer);
    return true;
}

static void finish_sha256(struct sha256_ctx *sha256, char hex[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_digest(sha256, sizeof(digest), digest);
    base16_encode_update(hex, sizeof(digest), digest);
    hex[64] = '\0';
}

static void random_key(char key[STORE_KEY_CHARS + 1])
{
    char hex[33];

    base_random_hex(hex, 32);
    snprintf(key, STORE_KEY_CHARS + 1, "%.2s/%.30s", hex, hex + 2);
}

/* The names must be on disk too: the file's in its folder, and the folder's, where it is new, in
 * the root. */
static bool settle(struct store *store, const char *part, const char *key)
{
    char folder[3] = { key[0], key[1], '\0' };
    bool is_new    = mkdirat(store->dir_fd, folder, 0750) == 0;
    int  fd        = is_new || errno == EEXIST
                         ? openat(store->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                         : -1;
    bool ok        = fd >= 0 && (!is_new || fsync(store->dir_fd) == 0);

    FAILPOINT("store.renaming");
    ok = ok && renameat(store->dir_fd, part, store->dir_fd, key) == 0;

    if (ok && fsync(fd) < 0) {
        int number = errno;
        unlinkat(store->dir_fd, key, 0);
        errno = number;
        ok    = false;
    }
    if (fd >= 0) {
        int number = errno;
        close(fd);
        errno = number;
    }
    return ok;
}

static bool commit_as(struct store_writer *writer, const char *key, const char *sha256,
                      struct err *err)
{
    bool ok;

    FAILPOINT("store.syncing");
    if (writer->store->s3) {
        ok = s3_put(writer->store->s3, key, writer->fd, writer->bytes, sha256, err);
    } else {
        ok = fsync(writer->fd) == 0 && settle(writer->store, writer->part, key);
        if (!ok)
            err_errno(err, "store", key);
    }
    if (ok)
        FAILPOINT("store.stored");
    return ok;
}

bool store_commit(struct store_writer *writer, struct stored *stored, struct err *err)
{
    bool ok;

    random_key(stored->key);
    stored->bytes = writer->bytes;
    finish_sha256(&writer->sha256, stored->sha256);
    ok = commit_as(writer, stored->key, stored->sha256, err);
    /* After the rename the temporary name is gone, so this closes and frees; after a failure it
     * also removes. */
    store_abandon(writer);
    return ok;
}

static struct store_writer *write_all_of(struct store *store, int fd, struct err *err)
{
    struct store_writer *writer = store_create(store, err);
    char                 buffer[65536];
    off_t                at = 0;
    ssize_t              n;

    if (!writer)
        return NULL;
    while ((n = pread(fd, buffer, sizeof(buffer), at)) > 0) {
        if (!store_write(writer, buffer, (size_t)n, err)) {
            store_abandon(writer);
            return NULL;
        }
        at += n;
    }
    if (n < 0) {
        err_errno(err, "read", "the file to store");
        store_abandon(writer);
        return NULL;
    }
    return writer;
}

bool store_put_fd(struct store *store, int fd, struct stored *stored, struct err *err)
{
    struct store_writer *writer = write_all_of(store, fd, err);

    return writer && store_commit(writer, stored, err);
}

bool store_put_as(struct store *store, const char *key, int fd, const char *sha256, struct err *err)
{
    struct store_writer *writer;
    char                 found[65];
    bool                 ok;

    if (!check_key(key, err))
        return false;
    writer = write_all_of(store, fd, err);
    if (!writer)
        return false;
    finish_sha256(&writer->sha256, found);
    ok = !sha256 || strcmp(found, sha256) == 0;
    if (!ok)
        err_set(err, "22023", "the file %s has another SHA-256 than it ought to", key);
    ok = ok && commit_as(writer, key, found, err);
    store_abandon(writer);
    return ok;
}

/* ---- for others ---- */

char *store_presign_put(struct store *store, const char *key, const char *content_type,
                        const char *content_md5, uint64_t bytes, unsigned expires_s)
{
    struct s3_presign what = { .method       = "PUT",
                               .key          = key,
                               .content_type = content_type,
                               .content_md5  = content_md5,
                               .bytes        = bytes,
                               .at           = base_unix_seconds(),
                               .expires_s    = expires_s };

    return store->s3 ? s3_presign(store->s3, &what) : NULL;
}

/* Signed as of the last full ten minutes, so that a browser that asks again finds what it has. */
char *store_presign_get(struct store *store, const char *method, const char *key,
                        const char *content_type, unsigned expires_s)
{
    int64_t           now  = base_unix_seconds();
    struct s3_presign what = { .method       = method,
                               .key          = key,
                               .content_type = content_type,
                               .at           = now - now % 600,
                               .expires_s    = expires_s + 600 };

    return store->s3 ? s3_presign(store->s3, &what) : NULL;
}

/* ---- reading and removing ---- */

static int download(struct store *store, const char *key, uint64_t *bytes, struct err *err)
{
    struct stat st;
    int         fd = nameless(store, err);

    if (fd >= 0 && s3_get(store->s3, key, fd, 0, err) && fstat(fd, &st) == 0) {
        *bytes = (uint64_t)st.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

int store_read(struct store *store, const char *key, uint64_t *bytes, struct err *err)
{
    struct stat st;
    int         fd;

    if (!check_key(key, err))
        return -1;
    if (store->s3)
        return download(store, key, bytes, err);
    fd = openat(store->dir_fd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        err_set(err, "58P01", "the file %s is gone", key);
        return -1;
    }
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        err_errno(err, "open", key);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *bytes = (uint64_t)st.st_size;
    return fd;
}

struct streaming {
    struct sha256_ctx sha256;
    store_bytes_fn   *on_bytes;
    void             *ctx;
};

static void hand_on(void *ctx, const void *data, size_t bytes)
{
    struct streaming *streaming = ctx;

    sha256_update(&streaming->sha256, bytes, data);
    streaming->on_bytes(streaming->ctx, data, bytes);
}

static bool stream_file(struct store *store, const char *key, uint64_t bytes,
                        struct streaming *streaming, struct err *err)
{
    char     piece[65536];
    uint64_t there = 0;
    ssize_t  got   = 0;
    int      fd    = store_read(store, key, &there, err);

    if (fd < 0)
        return false;
    while (bytes > 0) {
        got = read(fd, piece, bytes < sizeof(piece) ? (size_t)bytes : sizeof(piece));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        hand_on(streaming, piece, (size_t)got);
        bytes -= (uint64_t)got;
    }
    if (got < 0)
        err_errno(err, "read", key);
    else if (bytes > 0)
        err_set(err, "58030", "the file %s ends early", key);
    close(fd);
    return bytes == 0;
}

bool store_stream(struct store *store, const char *key, uint64_t bytes, const char *sha256,
                  store_bytes_fn *on_bytes, void *ctx, struct err *err)
{
    struct streaming streaming = { .on_bytes = on_bytes, .ctx = ctx };
    char             found[65];
    bool             ok;

    sha256_init(&streaming.sha256);
    ok = check_key(key, err)
         && (store->s3 ? s3_read(store->s3, key, bytes, hand_on, &streaming, err)
                       : stream_file(store, key, bytes, &streaming, err));
    finish_sha256(&streaming.sha256, found);
    if (ok && strcmp(found, sha256) != 0) {
        err_set(err, "58030", "the file %s has another SHA-256 than it ought to", key);
        ok = false;
    }
    return ok;
}

bool store_head(struct store *store, const char *key, uint64_t *bytes, struct err *err)
{
    int fd;

    if (!check_key(key, err))
        return false;
    if (store->s3)
        return s3_head(store->s3, key, bytes, err);
    fd = store_read(store, key, bytes, err);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool store_unlink(struct store *store, const char *key, struct err *err)
{
    struct err ignored;

    if (!check_key(key, err ? err : &ignored))
        return false;
    FAILPOINT("store.unlinking");
    if (store->s3)
        return s3_delete(store->s3, key, err ? err : &ignored);
    if (unlinkat(store->dir_fd, key, 0) < 0 && errno != ENOENT) {
        err_errno(err, "remove", key);
        return false;
    }
    return true;
}

struct listing {
    char          *after;
    store_file_fn *on_file;
    void          *ctx;
    size_t         told;
};

/* What others have put into the bucket is counted, and passed over. */
static void on_object(void *ctx, const char *key, int64_t age_s, uint64_t bytes)
{
    struct listing *listing = ctx;

    (void)bytes;
    snprintf(listing->after, STORE_AFTER_BYTES, "%s", key);
    listing->told++;
    if (store_key_is_valid(key))
        listing->on_file(listing->ctx, key, age_s);
}

bool store_list_after(struct store *store, char after[STORE_AFTER_BYTES], size_t most,
                      store_file_fn *on_file, void *ctx, size_t *told)
{
    struct listing listing = { after, on_file, ctx, 0 };
    struct err     ignored;
    char           from[STORE_AFTER_BYTES];
    bool           ok;

    snprintf(from, sizeof(from), "%s", after);
    ok    = s3_list(store->s3, "", from[0] ? from : NULL, most, on_object, &listing, &ignored);
    *told = listing.told;
    return ok;
}

size_t store_list(struct store *store, unsigned folder, size_t skip, size_t most,
                  store_file_fn *on_file, void *ctx)
{
    char           name[3], key[STORE_KEY_CHARS + 1];
    int            fd;
    DIR           *dir;
    struct dirent *entry;
    struct stat    st;
    size_t         told = 0;

    snprintf(name, sizeof name, "%02x", folder & 0xffu);
    fd  = openat(store->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    while (told < most && (entry = readdir(dir))) {
        snprintf(key, sizeof key, "%s/%.30s", name, entry->d_name);
        if (strlen(entry->d_name) != STORE_KEY_CHARS - 3 || !store_key_is_valid(key)
            || (skip > 0 && skip--) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        on_file(ctx, key, base_unix_seconds() - st.st_mtime);
        told++;
    }
    closedir(dir);
    return told;
}
