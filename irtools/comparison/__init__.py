"""Methods x scenes -> one table with one row per scene, method, set of options and stem; and listening tests.

A *scene* is a plain dictionary (`scenes`), a *job* is one method on one scene (`jobs`), measured in a process of its
own (`measured`), here or on a Dask cluster (`running`). Rows go to a CSV file that a later run goes on with (`table`);
`summary` sums it up. Separators of other packages (`rivals`) run beside the methods; `scoreboard` is all of them.
`ledger` holds the published claims, `recount` computes what became of them here.
"""
