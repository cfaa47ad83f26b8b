"""Where the passages are: on a server, or in an index of this process."""

from __future__ import annotations

from slime_hookspecs import ConfigError

from slime_plugin_search_r1.client import HttpRetriever
from slime_plugin_search_r1.local import LocalRetriever
from slime_plugin_search_r1.options import Options


def check(options: Options) -> None:
    """Open the index, or ask the server once, so that what is wrong is found early.

    Raises:
        ConfigError: neither is named, or no server is there.
        DataError: the corpus or the index is bad.
    """
    found = retriever(options)
    if isinstance(found, LocalRetriever):
        found.open()
    else:
        found.probe()


def retriever(options: Options) -> LocalRetriever | HttpRetriever:
    """What the options name. Holds nothing itself: connections and indexes are the process's.

    Raises:
        ConfigError: they name nothing.
    """
    if options.url:
        return HttpRetriever(
            options.url,
            top_k=options.top_k,
            timeout_s=options.timeout_s,
            retries=options.retries,
            connections=options.connections,
        )
    if options.corpus:
        return LocalRetriever(options.corpus, options.top_k, options.max_bad_lines)
    raise ConfigError(
        "search_r1 has nothing to search; name a server with --search-r1.url URL, or passages "
        "with --search-r1.corpus FILE"
    )
