"""Archives: more files than one machine should track, by a Ray cluster, into a folder of Parquet; see ARCHIVES.md.

``folder`` knows what is where and keeps two runs apart, ``records`` what is done, ``strikes`` which files kill;
``work`` tracks one item of work on whichever machine, ``engine`` hands the items to Ray in a process of its own,
``cluster`` is that process for others, ``archiving`` does it all. Only ``engine`` imports Ray.
"""
