"""Jobs with a limit of memory that start what needs more."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading

from jobs import tell
from more_jobs import eat  # noqa: F401

from resque_fork import job


@job(queue="jobs", memory="64M")
def need_memory_elsewhere(how):
    size = 200 << 20
    program = [sys.executable, "-c", f"bytearray({size})"]
    if how == "fork":
        process = multiprocessing.get_context("fork").Process(target=bytearray, args=[size])
        process.start()
        process.join()
        status = process.exitcode
    elif how == "spawn":
        process = multiprocessing.get_context("spawn").Process(target=bytearray, args=[size])
        process.start()
        process.join()
        status = process.exitcode
    elif how == "subprocess":
        status = subprocess.run(program, check=False).returncode
    elif how == "asyncio":
        status = asyncio.run(run_in_asyncio(program))
    elif how == "posix_spawn":
        pid = os.posix_spawn(sys.executable, program, os.environ)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    elif how == "system":
        status = os.system(f"{sys.executable} -c 'bytearray({size})'")
    elif how == "thread":
        statuses = []
        threads = [
            threading.Thread(
                target=lambda: statuses.append(subprocess.run(program, check=False).returncode)
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = max(map(abs, statuses))
    tell("ran", status=status)
    bytearray(size)  # which this process may not have


async def run_in_asyncio(program):
    process = await asyncio.create_subprocess_exec(*program)
    return await process.wait()
