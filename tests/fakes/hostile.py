#!/usr/bin/python3
"""A tool that tries to reach what is not its own. Its argument says, as JSON, where things are; its output lists what it reached."""
import ctypes
import json
import os
import signal
import socket
import sys

at = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)


def read(path):
    with open(path, 'rb') as file:
        return len(file.read(1)) == 1


def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    return True


def make(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    os.unlink(path)
    return True


def mode(path):
    os.chmod(path, 0o777)
    return os.stat(path).st_mode & 0o777 == 0o777


def connect(family, address):
    link = socket.socket(family, socket.SOCK_STREAM)
    link.connect(address)
    return True


def link(path, how, name):
    how(path, name)
    return read(name)


def lists(path, wanted=None):
    names = os.listdir(path)
    return bool(names) if wanted is None else wanted in names


def call(name, *arguments):
    return getattr(libc, name)(*arguments) == 0


def environment(pid):
    with open(f'/proc/{pid}/environ', 'rb') as file:
        return b'KILN_JWT_SECRET' in file.read() or b'PGPASSFILE' in file.read()


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv('/bin/sleep', ['sleep', at['sleep']])
        os._exit(0)
    return False                # the test looks whether it lives on


tricks = {
    'read secrets.env': lambda: read(at['secrets']),
    'read pgpass': lambda: read(at['pgpass']),
    'list the media store': lambda: lists(at['media']),
    'read media': lambda: read(at['picture']),
    'write media': lambda: write(at['picture']),
    'remove media': lambda: os.unlink(at['picture']) is None,
    'truncate media': lambda: os.truncate(at['picture'], 0) is None,
    'change the mode of media': lambda: mode(at['picture']),
    'make media': lambda: make(at['media'] + '/new'),
    'write kiln-server': lambda: write(at['server_program']),
    'change the mode of kiln-server': lambda: mode(at['server_program']),
    'replace kiln-server': lambda: os.rename('out/new', at['server_program']) is None,
    'write its own program': lambda: write(sys.argv[0]),
    "read the database's files": lambda: read(at['cluster'] + '/pg/PG_VERSION'),
    "write the database's rules": lambda: write(at['cluster'] + '/pg/pg_hba.conf'),
    "connect to the database's socket": lambda: connect(socket.AF_UNIX, at['socket']),
    'connect to kiln-server': lambda: connect(socket.AF_INET, ('127.0.0.1', at['port'])),
    'listen to the kernel': lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) is not None,
    "see another task's folder": lambda: lists(os.path.dirname(os.getcwd()), at['other']),
    "read another task's folder": lambda: read(f"../{at['other']}/in/0.png"),
    'a symbolic link to secrets.env': lambda: link(at['secrets'], os.symlink, 'out/symbolic'),
    'a hard link to secrets.env': lambda: link(at['secrets'], os.link, 'out/hard'),
    "the runner's environment": lambda: environment(at['runner']),
    "the server's environment": lambda: environment(at['server']),
    "its parent's environment": lambda: environment(os.getppid()),
    "the runner's memory": lambda: read(f"/proc/{at['runner']}/mem"),
    'signal the runner': lambda: os.kill(at['runner'], 0) is None,
    'signal the server': lambda: os.kill(at['server'], 0) is None,
    'end all': lambda: os.kill(-1, signal.SIGCONT) is None and False,
    'trace its parent': lambda: call('ptrace', 16, os.getppid(), 0, 0),
    'mount': lambda: call('mount', b'none', b'out', b'tmpfs', 0, None),
    'a user namespace': lambda: call('unshare', 0x10000000),
    'become another': lambda: os.setuid(1 if os.getuid() == 0 else 0) is None,
    'write outside': lambda: make('/tmp/kiln-hostile') or make('/var/tmp/kiln-hostile'),
    'read /etc/shadow': lambda: read('/etc/shadow'),
    'list homes': lambda: lists('/root') or lists('/home'),
    'leave a daemon behind': daemon,
}

open('out/new', 'w').close()
harm = []
for name, trick in tricks.items():
    try:
        if trick():
            harm.append(name)
    except (OSError, KeyError):
        pass
print(json.dumps({'output': {'harm': harm, 'tried': len(tricks)}}))
