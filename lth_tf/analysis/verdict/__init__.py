"""The verdict: is it a winning ticket?"""
