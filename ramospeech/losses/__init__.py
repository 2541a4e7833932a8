"""What training minimises: CTC and ACE.

May import `language`, and what that may import.
"""
