from latentia.cli import main

raise SystemExit(main())
